"""`envgen init`: creates a project."""

import shlex
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.profiles import Project, edit
from envgen.profiles.adopt import AdoptedRequirements, additions_to, read_requirements
from envgen.profiles.scaffold import Scaffold, profile_name, project_files, write_project
from envgen.workspace import Workspace

TEXT = """\
Existing files are kept. --from imports the requirements of a requirements.txt (with the files it includes), of a pyproject.toml
or of a conda environment.yml, and lists what it could not import.
"""

SHAPE = '{"profile", "written": [path], "kept": [path], "left_out": [{"text", "reason"}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class InitArgs:
    """The arguments of `envgen init`."""

    folder: str
    name: str
    extends: str
    source: str
    as_of: str
    json: bool


def run(args: InitArgs, workspace: Workspace) -> int:
    """Write the files that do not exist yet; the exit code is 0."""
    folder = Path(args.folder)
    scaffold = _scaffold(args, folder)
    written, kept = write_project(folder, project_files(scaffold, workspace.project.init_templates()))
    # The profile that was written, or kept, must be valid.
    Project(folder=folder.absolute()).profile(scaffold.name)
    if args.json:
        print_json(as_json(scaffold, written, kept))
        return 0
    enter = "" if args.folder == "." else f"cd {shlex.quote(args.folder)} && "
    folder_name = folder.absolute().name
    renamed = [] if args.name or scaffold.name == folder_name else [f"profile       {scaffold.name}, after the folder {folder_name}"]
    print_lines(
        [
            *renamed,
            *(f"written       {name}" for name in written),
            *(f"kept          {name}" for name in kept),
            *(f"{'left out    ' if entry.there else 'NOT IMPORTED'}  {entry.text}: {entry.reason}" for entry in scaffold.left_out),
            "",
            f"next: {enter}envgen lock && envgen build {scaffold.name}",
        ]
    )
    return 0


def as_json(scaffold: Scaffold, written: Sequence[str], kept: Sequence[str]) -> Mapping[str, object]:
    left_out = [{"text": entry.text, "reason": entry.reason} for entry in scaffold.left_out]
    return {"profile": scaffold.name, "written": written, "kept": kept, "left_out": left_out}


def _scaffold(args: InitArgs, folder: Path) -> Scaffold:
    """The project to create. Raises UsageError for an invalid name, date, profile or file."""
    shipped = Project(folder=folder / "profiles")  # a folder without profiles: bundled ones only
    parent = shipped.profile(args.extends)
    name = profile_name(folder, args.name, shipped.profiles())
    imported = AdoptedRequirements(requirements=(), left_out=())
    if args.source:
        imported = additions_to(read_requirements(Path(args.source)), parent, args.source)
    return Scaffold(
        name=name,
        extends=parent.name,
        title=folder.absolute().name or name,
        as_of=f"{edit.parse_day(args.as_of)}" if args.as_of else "",
        requirements=imported.requirements,
        left_out=imported.left_out,
        source=Path(args.source).name if args.source else "",
    )


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="the project folder (default: the current one)")
    parser.add_argument("--name", default="", metavar="NAME", help="the profile's name (default: the folder's)")
    parser.add_argument(
        "--extends", default="cpu-base", metavar="PROFILE", help="the profile to extend: cpu-base (default), cuda or bnb-quant"
    )
    parser.add_argument("--from", dest="source", default="", metavar="FILE", help="requirements.txt, pyproject.toml or environment.yml")
    as_of = 'read the indexes as of this day: 2026-11-01, today, "7 days ago" (default: the extended profile\'s)'
    parser.add_argument("--as-of", default="", metavar="DATE", help=as_of)
    options.add_json(parser)


COMMAND = Command(
    arguments=InitArgs,
    add_options=add_options,
    run=run,
    example="envgen init my-team --extends cuda --from requirements.txt",
    text=TEXT,
    shape=SHAPE,
    in_project=False,
)
