"""`envgen fetch`: all that is locked, brought here."""

import argparse
import json
from dataclasses import asdict

from envgen import images, pipeline
from envgen.bases import BaseState, check_fetched, fetch_bases
from envgen.cli import show
from envgen.engine.docker import DockerEngine
from envgen.workspace import Workspace


def command(options: argparse.Namespace, work: Workspace) -> int:
    """Fetches; the exit code is that of an error if something could not be had."""
    locks = pipeline.wanted_locks(work, options.profiles, options.target)
    wheels = images.fetch(work, *locks)
    bases: tuple[BaseState, ...] = ()
    if not options.no_base and any(lock.base for lock in locks):
        bases = fetch_bases(work, locks, DockerEngine(work.settings))
    if options.json:
        print(json.dumps({"locks": len(locks), "wheels": asdict(wheels), "bases": [asdict(base) for base in bases]}, indent=2))
    else:
        new = f"{wheels.fetched} fetched just now" if wheels.fetched else "nothing to fetch"
        without = "; no base (--no-base)" if options.no_base else ""
        print(f"{len(locks)} lock{'s' if len(locks) > 1 else ''}: {wheels.wheels} wheels, {show.size(wheels.size)}, {new}{without}")
    check_fetched(bases)
    return 0
