"""What each command does: wiring, and the order in which things happen."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from envgen.cli import show
from envgen.core.errors import IndexUnavailableError, UsageError
from envgen.core.settings import read_settings
from envgen.core.toml import suggestion
from envgen.lock import project as pipeline
from envgen.lock.project import MakeResolver, WrittenLock
from envgen.profiles import Profile, Project
from envgen.workspace import Workspace

if TYPE_CHECKING:  # only what every command needs is imported at once: `envgen lock --check` is to be quick
    from envgen.lock.why import HeldBack

Command = Callable[[argparse.Namespace, Workspace], int]


def run(options: argparse.Namespace) -> int:
    """Runs the command that `options` name; the exit code."""
    project = Path(options.project)
    if not project.is_dir():
        raise UsageError(f"--project {options.project}", "there is no such folder")
    reporter = show.make_reporter(quiet=getattr(options, "json", False))
    settings = read_settings(os.environ, project)
    # requests takes proxies from the environment alone, with no_proxy as everybody knows it.
    os.environ.update(settings.network)
    workspace = Workspace(project=Project(folder=project.absolute()), settings=settings, reporter=reporter)
    commands: dict[str, Command] = {
        "lock": _lock,
        "update": _update,
        "why": _why,
        "build": _later("image", "build"),
        "smoke": _later("image", "smoke"),
        "show": _later("profile"),
        "run": _later("run"),
        "doctor": _later("doctor"),
        "fetch": _later("fetch"),
        "store": _later("store"),
        "diff": _later("diff"),
        "verify": _later("verify"),
        "audit": _later("audit"),
        "reproduce": _later("reproduce"),
        "completion": _later("completion"),
        "init": _later("init"),
        "export": _later("export"),
        "matrix": _later("matrix"),
    }
    with reporter:
        return commands[options.command](options, workspace)


def _later(module: str, name: str = "command") -> Command:
    """The command `name` of a module of envgen.cli, which is imported when it is called."""
    return lambda options, workspace: int(getattr(import_module(f"envgen.cli.{module}"), name)(options, workspace))


def _lock(options: argparse.Namespace, workspace: Workspace) -> int:
    profiles = [workspace.project.profile(name) for name in options.profiles or workspace.project.own_profiles()]
    wanted = [(profile, profile.find_targets(options.target)) for profile in profiles]
    rows = []
    if options.check:
        pairs = [(profile, target) for profile, targets in wanted for target in targets]
        pipeline.check_locks(workspace, pairs)
        rows = [{"profile": profile.name, "target": target.slug, "status": "up to date"} for profile, target in pairs]
    else:
        for profile, targets in wanted:
            rows += _rows(workspace, profile, pipeline.write_locks(workspace, profile, targets, _resolver(options.resolver)))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        show.lock_rows(rows)
    return 0


def _resolver(name: str) -> MakeResolver:
    if name == "pip-tools":
        from envgen.lock.resolvers.piptools import PipToolsResolver

        return PipToolsResolver
    from envgen.lock.resolvers.uv import UvResolver

    return UvResolver


def _rows(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock]) -> list[dict[str, str]]:
    return [
        {
            "profile": profile.name,
            "target": lock.target.slug,
            "status": "written" if lock.changed else "unchanged",
            "folder": workspace.project.label(lock.folder),
        }
        for lock in locks
    ]


def _update(options: argparse.Namespace, workspace: Workspace) -> int:
    from envgen.profiles import edit

    if options.package and not options.as_of:
        raise UsageError("--package", "needs a date", hint=f"add --as-of DATE, as in --package {options.package} --as-of 2026-11-01")
    if not options.as_of and not options.base:
        raise UsageError("update", "nothing to move", hint="give --as-of DATE (with --package NAME for one package), or --base")
    profile = workspace.project.profile(options.profile)
    path = edit.profile_path(workspace.project, options.profile)
    before = path.read_bytes()
    try:
        _move(options, workspace, profile, path)
        if not options.no_lock:
            moved = workspace.project.profile(options.profile)
            show.lock_rows(_rows(workspace, moved, pipeline.write_locks(workspace, moved, moved.targets(), _resolver("uv"))))
    except BaseException:
        # A profile that moved without its locks would leave both stale.
        path.write_bytes(before)
        raise
    return 0


def _move(options: argparse.Namespace, workspace: Workspace, profile: Profile, path: Path) -> None:
    """Edits the profile in the file `path`."""
    from envgen.profiles import edit

    if options.as_of:
        edit.move_date(path, edit.parse_day(options.as_of), canonicalize_name(options.package or ""))
        workspace.reporter.step(
            f"{workspace.project.label(path)}: as_of {'of ' + options.package if options.package else ''} is {options.as_of}"
        )
    if options.base:
        from envgen.engine.docker import DockerEngine

        for python, base in edit.move_bases(path, profile, DockerEngine(workspace.settings), workspace.settings):
            moved = "is unchanged" if base.pinned == python.base else f"moves from {python.base}"
            said = f"Python {base.python}" if base.python else "it does not say which Python it has: `full` stays"
            workspace.reporter.step(f"{workspace.project.label(path)}: base of Python {python.version} {moved}: {base.pinned} ({said})")


def _why(options: argparse.Namespace, workspace: Workspace) -> int:
    profile = workspace.project.profile(options.profile)
    target = profile.find_targets(options.target)[0]
    lock = pipeline.checked_lock(workspace, profile, target)
    package = lock.package(canonicalize_name(options.package))
    if package is None:
        names = tuple(found.wheel.name for found in lock.packages)
        raise UsageError(
            options.package, f"is not in the lock of {profile.name} for {target.slug}", hint=suggestion(options.package, names)
        )
    try:
        held: tuple[HeldBack, ...] | None = pipeline.why(workspace, profile, lock, target, package)
        reason = ""
    except IndexUnavailableError as error:
        held, reason = None, str(error)
    if options.json:
        print(
            json.dumps(
                {**asdict(package), "held_back": held and [asdict(entry) for entry in held], "not_asked": reason}, indent=2, default=str
            )
        )
    else:
        show.why(package, held, reason)
    return 0
