"""`envgen fetch`: all that is locked, brought here."""

import argparse
import json
from dataclasses import asdict

from envgen.cli import show
from envgen.engine.docker import DockerEngine
from envgen.image.bases import BaseState, check_fetched, fetch_bases
from envgen.lock import project
from envgen.offline.fetch import fetch_models, fetch_wheels
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Fetches; the exit code is that of an error if something could not be had."""
    locks = project.wanted_locks(workspace, options.profiles, options.target)
    wheels = fetch_wheels(workspace, locks)
    models = fetch_models(workspace, locks)
    bases: tuple[BaseState, ...] = ()
    if not options.no_base and any(lock.base for lock in locks):
        bases = fetch_bases(workspace, locks, DockerEngine(workspace.settings))
    if options.json:
        found = {"wheels": asdict(wheels), "models": [asdict(model) for model in models], "bases": [asdict(base) for base in bases]}
        print(json.dumps({"locks": len(locks), **found}, indent=2))
    else:
        new = f"{wheels.fetched} fetched just now" if wheels.fetched else "nothing to fetch"
        total = sum(model.size for model in models)
        tested = f"; {len(models)} model{'s' if len(models) > 1 else ''}, {show.size(total)}" if models else ""
        without = "; no base (--no-base)" if options.no_base else ""
        print(f"{len(locks)} lock{'s' if len(locks) > 1 else ''}: {wheels.wheels} wheels, {show.size(wheels.size)}, {new}{tested}{without}")
    check_fetched(bases)
    return 0
