"""`envgen update`: moves a profile to another date or to newer bases, and relocks it."""

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.locks.lock import print_rows, written_rows
from envgen.cli.locks.moved import after_update, check_locked
from envgen.cli.output import print_lines
from envgen.cli.wiring import make_engine, make_resolver
from envgen.core.errors import UsageError
from envgen.lock import project
from envgen.profiles import Profile, edit
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateArgs:
    """The arguments of `envgen update`."""

    profile: str
    as_of: str | None
    package: str | None
    base: bool
    no_lock: bool


def run(args: UpdateArgs, workspace: Workspace) -> int:
    """Edit the profile, then lock it; if that fails, restore the profile."""
    if args.package and not args.as_of:
        raise UsageError("--package", "needs a date", hint=f"add --as-of DATE, as in --package {args.package} --as-of 2026-11-01")
    if not args.as_of and not args.base:
        raise UsageError("update", "nothing to move", hint="give --as-of DATE (with --package NAME for one package), or --base")
    profile = workspace.project.chosen_profile(args.profile)
    path = edit.profile_path(workspace.project, profile.name)
    package = canonicalize_name(args.package or "")
    if package:
        check_locked(workspace, profile, package)
    before = path.read_bytes()
    try:
        _move(args, workspace, profile, path)
        if not args.no_lock:
            moved = workspace.project.profile(profile.name)
            written = project.write_locks(workspace, moved, moved.targets(), make_resolver("uv"))
            print_rows(written_rows(workspace, moved, written))
            print_lines(after_update(workspace, moved, written, package))
    except BaseException:
        # Moved without its locks, the profile would make them stale.
        edit.restore(path, before)
        raise
    return 0


def _move(args: UpdateArgs, workspace: Workspace, profile: Profile, path: Path) -> None:
    """Edit the profile in the file `path`."""
    label = workspace.project.label(path)
    if args.as_of:
        day = edit.parse_day(args.as_of)
        edit.move_date(path, day, canonicalize_name(args.package or ""))
        workspace.reporter.step(f"{label}: as_of{f' of {args.package}' if args.package else ''} set to {day}")
    if args.base:
        for python, base in edit.move_bases(path, profile, make_engine(workspace.settings), workspace.settings):
            change = "unchanged" if base.pinned == python.base else f"moved from {python.base}"
            version = f"Python {base.python}" if base.python else "it does not report its Python version; `full` is unchanged"
            workspace.reporter.step(f"{label}: base of Python {python.version} {change}: {base.pinned} ({version})")


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    parser.add_argument("--as-of", metavar="DATE", help='read the indexes as of this day: 2026-11-01, today, "7 days ago"')
    parser.add_argument("--package", metavar="NAME", help="with --as-of: only this package")
    parser.add_argument("--base", action="store_true", help="move the bases to the current digests of their tags")
    parser.add_argument("--no-lock", action="store_true", help="edit the profile only")


COMMAND = Command(arguments=UpdateArgs, add_options=add_options, run=run, example="envgen update cpu-base --as-of 2026-11-01")
