"""`envgen export`: prints a lock in another tool's format."""

import sys
from argparse import ArgumentParser
from dataclasses import dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.lock import project, pylock
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportArgs:
    """The arguments of `envgen export`."""

    profile: str
    target: str
    format: str
    offline: bool


def run(args: ExportArgs, workspace: Workspace) -> int:
    """Print the whole lock, or nothing on an error; the exit code is 0."""
    profile = workspace.project.chosen_profile(args.profile)
    target = profile.find_targets(args.target)[0]
    lock = project.checked_lock(workspace, profile, target)
    locations = pylock.paths_of(lock, workspace.store) if args.offline else pylock.urls_of(lock, workspace.client(lock.index_urls))
    sys.stdout.write(pylock.render_pylock(lock, target, locations))
    return 0


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, "the target (default: the first)")
    parser.add_argument("--format", choices=("pylock",), default="pylock", help="pylock: PEP 751, for a file named pylock.toml (default)")
    parser.add_argument("--offline", action="store_true", help="paths into the wheel store instead of URLs (see envgen fetch)")


COMMAND = Command(arguments=ExportArgs, add_options=add_options, run=run, example="envgen export cpu-base > pylock.toml")
