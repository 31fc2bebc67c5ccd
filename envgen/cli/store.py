"""`envgen store`: what is locked, carried to a machine without a network."""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from envgen.cli import show
from envgen.engine.docker import DockerEngine
from envgen.lock import project
from envgen.offline.archive import BASE, MODEL, WHEEL
from envgen.offline.export import export_store
from envgen.offline.import_ import ImportStatus, check_taken, import_store
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    return _export(options, workspace) if options.action == "export" else _import(options, workspace)


def _export(options: argparse.Namespace, workspace: Workspace) -> int:
    locks = project.wanted_locks(workspace, options.profiles, options.target)
    engine = None if options.no_base or not any(lock.base for lock in locks) else DockerEngine(workspace.settings)
    found = export_store(workspace, locks, Path(options.archive), engine)
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return 0
    count = Counter(entry.kind for entry in found.entries)
    without = f" (LEFT OUT: {len(found.left_out)})" if found.left_out else ""
    models = f", files of models: {count[MODEL]}" if count[MODEL] else ""
    print(f"{found.archive}: {show.size(found.size)}; wheels: {count[WHEEL]}{models}, bases: {count[BASE]}{without}")
    print(f"sha256 {found.sha256}")
    return 0


def _import(options: argparse.Namespace, workspace: Workspace) -> int:
    items = import_store(workspace, Path(options.archive), None if options.no_base else DockerEngine(workspace.settings))
    if options.json:
        print(json.dumps({"archive": options.archive, "items": [asdict(item) for item in items]}, indent=2))
    else:
        counts = Counter((item.kind, item.status) for item in items)
        for kind in (WHEEL, MODEL, BASE):
            numbers = [f"{counts[kind, status]} {status}" for status in ImportStatus if counts[kind, status]]
            if numbers:
                print(f"{kind}s: {', '.join(numbers)}")
    check_taken(items)
    return 0
