"""`envgen lock`: resolves profiles and writes their locks, or checks them."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_lines
from envgen.cli.wiring import make_resolver
from envgen.lock import project
from envgen.lock.project import WrittenLock
from envgen.profiles import Profile
from envgen.workspace import Workspace

SHAPE = """\
[{"profile", "target", "status": "written" | "unchanged" | "up to date", "folder", "changes": {text: number}, "remarks": [text]}]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockArgs:
    """What `envgen lock` is called with."""

    profiles: tuple[str, ...]
    target: str
    check: bool
    resolver: str
    json: bool


def run(args: LockArgs, workspace: Workspace) -> int:
    profiles = [workspace.project.profile(name) for name in args.profiles or workspace.project.own_profiles()]
    wanted = [(profile, profile.find_targets(args.target)) for profile in profiles]
    rows: list[dict[str, object]] = []
    said: list[str] = []
    if args.check:
        pairs = [(profile, target) for profile, targets in wanted for target in targets]
        project.check_locks(workspace, pairs)
        rows = [{"profile": profile.name, "target": target.slug, "status": "up to date"} for profile, target in pairs]
    else:
        for profile, targets in wanted:
            written = project.write_locks(workspace, profile, targets, make_resolver(args.resolver))
            rows += written_rows(workspace, profile, written)
            said.append(_moved().summary(workspace, profile, written))
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_rows(rows)
        print_lines(filter(None, said))
    return 0


def _moved() -> ModuleType:
    """What says which packages moved: `lock --check` does without it, and is to be quick."""
    return import_module("envgen.cli.locks.moved")


def written_rows(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock]) -> list[dict[str, object]]:
    """One row for each lock that was written or unchanged."""
    return [
        {
            "profile": profile.name,
            "target": lock.target.slug,
            "status": "written" if lock.changed else "unchanged",
            "folder": workspace.project.label(lock.folder),
            "changes": _moved().changes([lock]),
            "remarks": list(profile.on_target(lock.target).remarks),
        }
        for lock in locks
    ]


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """Prints a line for each lock."""
    print_lines(f"{row['profile']:<12} {row['target']:<22} {row['status']}" for row in rows)


def add_options(parser: ArgumentParser) -> None:
    options.add_profiles(parser)
    options.add_target(parser, "one target only, such as py311-linux-amd64")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 4 when a lock is stale (offline)")
    parser.add_argument("--resolver", choices=("uv", "pip-tools"), default="uv", help="who resolves (default: uv)")
    options.add_json(parser)


COMMAND = Command(arguments=LockArgs, add_options=add_options, run=run, example="envgen lock cpu-base", shape=SHAPE)
