"""`envgen matrix`: every profile on every target, for people, for GitHub Actions, and for docker buildx bake."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.core.git import GitRepo
from envgen.engine import BuildRequest
from envgen.engine.docker import DockerEngine
from envgen.image import build
from envgen.image.bake import BakeTarget, bake_file, index_arguments, write_contexts
from envgen.image.matrix import MatrixEntry, cells
from envgen.image.publish import check_repository
from envgen.lock import Lock
from envgen.lock import project as pipeline
from envgen.offline.fetch import fetch_wheels
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints it; the exit code is 0, also where nothing is affected."""
    _check(options)
    profiles = [workspace.project.profile(name) for name in options.profiles or workspace.project.own_profiles()]
    changed = None
    if options.changed_since:
        changed = GitRepo(workspace.settings, workspace.project.folder).changed_since(options.changed_since)
    found = [cell for cell in cells(workspace.project, profiles, changed) if cell.image or not options.images]
    if options.format == "github":
        print(json.dumps({"include": [asdict(cell) for cell in found]}))
    elif options.format == "bake":
        print(json.dumps(bake_file(list(_targets(options, workspace, [cell for cell in found if cell.image]))), indent=2))
    elif options.format == "json":
        print(json.dumps([asdict(cell) for cell in found], indent=2))
    else:
        _table(found)
    return 0


def _check(options: argparse.Namespace) -> None:
    for name in ("base", "wheels", "push", "cache"):
        if getattr(options, name) and options.format != "bake":
            raise UsageError(f"--{name}", "says how images are built, which this format has no place for", hint="add --format bake")
    for repository in filter(None, (options.push, options.cache)):
        check_repository(repository)


def _table(found: Sequence[MatrixEntry]) -> None:
    for cell in found:
        state = "image" if cell.image else "lock only"
        words = [f"{cell.profile:<12} {cell.target:<20}", f"{state:<10}", f"{'locked' if cell.lock else 'NOT LOCKED':<11}"]
        print(*words, ", ".join(cell.tiers))
    if not found:
        print("nothing is affected")


def _targets(options: argparse.Namespace, workspace: Workspace, found: Sequence[MatrixEntry]) -> Iterator[BakeTarget]:
    """What bake builds for each cell. Raises UsageError, StaleLockError, BuildError."""
    engine = DockerEngine(workspace.settings)
    for cell in found:
        name = f"{cell.profile}-{cell.target}"
        profile = workspace.project.profile(cell.profile)
        target = profile.find_targets(cell.target)[0]
        lock = pipeline.checked_lock(workspace, profile, target)
        if options.wheels or options.base:  # another base decides anew which of them are wanted
            fetch_wheels(workspace, [lock])
        tag = f"{options.push}:{name}" if options.push else None
        order, _ = build.make_request(
            workspace, lock, engine, build.BuildOptions(base=options.base or None, tag=tag, compression=options.compression)
        )
        folder = workspace.project.find_lock_folder(profile.name, target)
        assert folder is not None
        yield BakeTarget(
            name=name,
            folder=_from_project(workspace, folder),
            request=_with_wheels(order, options.wheels, workspace, lock),
            cache=f"{options.cache}:{name}" if options.cache else None,
            push=bool(options.push),
        )


def _with_wheels(order: BuildRequest, wheels: str, workspace: Workspace, lock: Lock) -> BuildRequest:
    """`order` with the wheels in folders below `wheels`, or for an empty one with the indexes that the builder asks."""
    if not wheels:
        return replace(order, arguments={**order.arguments, **index_arguments(lock, workspace.settings)})
    return replace(order, contexts=build.contexts_of(write_contexts(workspace.store, build.wheel_groups(lock), Path(wheels))))


def _from_project(workspace: Workspace, folder: Path) -> Path:
    """`folder` as it is called from the project's folder, where bake is run; one that came with envgen keeps its whole path."""
    project = workspace.project.folder
    return folder.relative_to(project) if folder.is_relative_to(project) else folder
