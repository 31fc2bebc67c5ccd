"""`envgen lock`: resolves profiles and writes their locks, or checks them."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_resolver
from envgen.core.target import Target
from envgen.lock import project
from envgen.lock.notice import Notice
from envgen.lock.project import WrittenLock
from envgen.profiles import Profile
from envgen.workspace import Workspace

SHAPE = """\
[{"profile", "target", "status": "written" | "unchanged" | "up to date", "folder", "changes": {text: number}, "remarks": [text],
"notices": [{"kind", "package", "text", "cure"}]}]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockArgs:
    """The arguments of `envgen lock`."""

    profiles: tuple[str, ...]
    target: str
    check: bool
    resolver: str
    json: bool
    strict: bool = False


def run(args: LockArgs, workspace: Workspace) -> int:
    profiles = [workspace.project.profile(name) for name in args.profiles or workspace.project.default_profiles()]
    selected = [(profile, profile.find_targets(args.target)) for profile in profiles]
    rows: list[dict[str, Any]] = []
    if args.check:
        locks = project.check_locks(workspace, [(profile, target) for profile, targets in selected for target in targets])
        if args.strict:
            project.refuse_notices([(lock, lock.notices) for lock in locks])
        rows = [_row(lock.profile, lock.target, "up to date", lock.notices) for lock in locks]
        if not args.json:
            print_rows(rows)
    else:
        for profile, targets in selected:
            made = project.write_locks(workspace, profile, targets, make_resolver(args.resolver), strict=args.strict)
            new_rows = written_rows(workspace, profile, made)
            rows += new_rows
            if not args.json:  # now, since the next profile may fail
                print_rows(new_rows)
                print_lines(filter(None, [_moved().summary(workspace, profile, made)]))
    if args.json:
        print_json(rows)
    return 0


def _moved() -> ModuleType:
    """Import the module that reports which packages moved; `lock --check` does not need it and must be fast."""
    return import_module("envgen.cli.locks.moved")


def _row(profile: str, target: Target, status: str, notices: Sequence[Notice]) -> dict[str, Any]:
    return {"profile": profile, "target": target.slug, "status": status, "notices": [asdict(notice) for notice in notices]}


def written_rows(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock]) -> list[dict[str, Any]]:
    """One row for each lock, written or unchanged."""
    return [
        {
            **_row(profile.name, lock.target, "written" if lock.changed else "unchanged", lock.notices),
            "folder": workspace.project.label(lock.folder),
            "changes": _moved().changes([lock]),
            "remarks": list(profile.on_target(lock.target).remarks),
        }
        for lock in locks
    ]


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each lock and each notice; targets of a profile with the same notice share a line."""
    print_lines(f"{row['profile']:<12} {row['target']:<22} {row['status']}" for row in rows)
    targets: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        for notice in row["notices"]:
            key = (row["profile"], notice["package"], notice["text"], notice["cure"])
            targets.setdefault(key, []).append(row["target"])
    print_lines(
        f"notice: {profile} {', '.join(slugs)}: {package}: {text}; {cure}" for (profile, package, text, cure), slugs in targets.items()
    )


def add_options(parser: ArgumentParser) -> None:
    options.add_profiles(parser)
    options.add_target(parser, "one target only, such as py311-linux-amd64")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 4 if a lock is stale (offline)")
    parser.add_argument("--strict", action="store_true", help="exit 3, and write nothing, if a lock would have a notice")
    parser.add_argument("--resolver", choices=("uv", "pip-tools"), default="uv", help="the resolver (default: uv)")
    options.add_json(parser)


COMMAND = Command(arguments=LockArgs, add_options=add_options, run=run, example="envgen lock cpu-base", shape=SHAPE)
