"""`envgen init`: a new project in one command."""

import argparse
import json
from pathlib import Path

from envgen.profiles import Project, edit
from envgen.profiles.adopt import AdoptedRequirements, additions_to, read_requirements
from envgen.profiles.scaffold import Scaffold, profile_name, project_files, write_project
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Writes what is not there yet; the exit code is 0."""
    folder = Path(options.folder)
    scaffold = _scaffold(options, folder)
    written, kept = write_project(folder, project_files(scaffold, workspace.project.init_templates()))
    # What was written must be a profile that envgen takes; where one was there, that one.
    Project(folder=folder.absolute()).profile(scaffold.name)
    if options.json:
        left_out = [{"text": entry.text, "reason": entry.reason} for entry in scaffold.left_out]
        print(json.dumps({"profile": scaffold.name, "written": written, "kept": kept, "left_out": left_out}, indent=2))
        return 0
    for name in written:
        print(f"written   {name}")
    for name in kept:
        print(f"left as is {name}")
    for entry in scaffold.left_out:
        print(f"NOT TAKEN {entry.text}: {entry.reason}")
    place = "" if options.folder == "." else f"cd {options.folder} && "
    print(f"\nnext: {place}envgen lock && envgen build {scaffold.name}")
    return 0


def _scaffold(options: argparse.Namespace, folder: Path) -> Scaffold:
    """Raises UsageError for a name, a date, a profile or a file that will not do."""
    shipped = Project(folder=folder / "profiles")  # a folder in which no profile of the project's own is
    parent = shipped.profile(options.extends)
    name = profile_name(folder, options.name, shipped.profiles())
    imported = read_requirements(Path(options.source)) if options.source else AdoptedRequirements(requirements=(), left_out=())
    return Scaffold(
        name=name,
        extends=parent.name,
        title=folder.absolute().name or name,
        as_of=f"{edit.parse_day(options.as_of)}" if options.as_of else "",
        requirements=additions_to(imported, parent.requirements),
        left_out=imported.left_out,
        source=Path(options.source).name if options.source else "",
    )
