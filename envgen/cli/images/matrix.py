"""`envgen matrix`: every profile on every target, for people, for GitHub Actions, and for docker buildx bake."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import UsageError
from envgen.core.git import GitRepo
from envgen.engine import BuildRequest
from envgen.image import build
from envgen.image.bake import BakeTarget, bake_file, index_arguments, write_contexts
from envgen.image.matrix import MatrixEntry, matrix_entries
from envgen.image.publish import check_repository
from envgen.lock import Lock, project
from envgen.offline import fetch_wheels
from envgen.workspace import Workspace

TEXT = """\
github: {"include": [...]}, the value of a job's strategy.matrix; json: the same entries as a plain list.

bake: a file for docker buildx bake, run in the project's folder; what it builds has the digests of envgen build.
The builder fetches each wheel by its hash, unless --wheels hands them in. Test the images with envgen smoke.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixArgs:
    """What `envgen matrix` is called with."""

    profiles: tuple[str, ...]
    format: str
    changed_since: str
    images: bool
    wheels: str
    base: str
    compression: str
    push: str
    cache: str


def run(args: MatrixArgs, workspace: Workspace) -> int:
    """Prints it; the exit code is 0, also where nothing is affected."""
    _check(args)
    profiles = [workspace.project.profile(name) for name in args.profiles or _default_profiles(args, workspace)]
    changed = None
    if args.changed_since:
        changed = GitRepo(workspace.settings, workspace.project.folder).changed_since(args.changed_since)
    found = [cell for cell in matrix_entries(workspace.project, profiles, changed) if cell.image or not args.images]
    if args.format == "github":
        print_json({"include": [asdict(cell) for cell in found]}, indent=None)
    elif args.format == "bake":
        print_json(bake_file(list(_targets(args, workspace, [cell for cell in found if cell.image]))))
    elif args.format == "json":
        print_json([asdict(cell) for cell in found])
    else:
        print_lines(_table(found))
    return 0


def _default_profiles(args: MatrixArgs, workspace: Workspace) -> tuple[str, ...]:
    """The project's own, or for people to read all that come with envgen where there is no project; nothing builds those unasked."""
    project = workspace.project
    return project.own_profiles() or project.profiles() if args.format == "table" else project.default_profiles()


def _check(args: MatrixArgs) -> None:
    for option, value in (("--base", args.base), ("--wheels", args.wheels), ("--push", args.push), ("--cache", args.cache)):
        if value and args.format != "bake":
            raise UsageError(option, "says how images are built, which this format has no place for", hint="add --format bake")
    for repository in filter(None, (args.push, args.cache)):
        check_repository(repository)


def _table(found: Sequence[MatrixEntry]) -> Iterator[str]:
    for cell in found:
        state = "image" if cell.image else "lock only"
        words = [f"{cell.profile:<12} {cell.target:<20}", f"{state:<10}", f"{'locked' if cell.lock else 'NOT LOCKED':<11}"]
        yield " ".join([*words, ", ".join(cell.tiers)])
    if not found:
        yield "nothing is affected"


def _targets(args: MatrixArgs, workspace: Workspace, found: Sequence[MatrixEntry]) -> Iterator[BakeTarget]:
    """What bake builds for each cell. Raises UsageError, StaleLockError, BuildError."""
    engine = make_engine(workspace.settings)
    for cell in found:
        name = f"{cell.profile}-{cell.target}"
        profile = workspace.project.profile(cell.profile)
        target = profile.find_targets(cell.target)[0]
        lock = project.checked_lock(workspace, profile, target)
        if args.wheels or args.base:  # another base decides anew which of them are wanted
            fetch_wheels(workspace, [lock])
        tag = f"{args.push}:{name}" if args.push else ""
        asked = build.BuildOptions(base=args.base or None, tag=tag or None, compression=args.compression)
        request, _ = build.make_request(workspace, lock, engine, asked)
        folder = workspace.project.find_lock_folder(profile.name, target)
        assert folder is not None
        yield BakeTarget(
            name=name,
            folder=_from_project(workspace, folder),
            request=_with_wheels(request, args.wheels, workspace, lock),
            cache=f"{args.cache}:{name}" if args.cache else None,
            push=bool(args.push),
        )


def _with_wheels(request: BuildRequest, wheels: str, workspace: Workspace, lock: Lock) -> BuildRequest:
    """`request` with the wheels in folders below `wheels`, or for an empty one with the indexes that the builder asks."""
    if not wheels:
        return replace(request, arguments={**request.arguments, **index_arguments(lock, workspace.settings)})
    return replace(request, contexts=build.contexts_of(write_contexts(workspace.store, build.wheel_groups(lock), Path(wheels))))


def _from_project(workspace: Workspace, folder: Path) -> Path:
    """`folder` as it is called from the project's folder, where bake is run; one that came with envgen keeps its whole path."""
    top = workspace.project.folder
    return folder.relative_to(top) if folder.is_relative_to(top) else folder


def add_options(parser: ArgumentParser) -> None:
    options.add_profiles(parser)
    parser.add_argument("--format", choices=("table", "json", "github", "bake"), default="table", help="of the answer (default: table)")
    parser.add_argument("--changed-since", default="", metavar="REV", help="only what differs since this git revision can affect")
    parser.add_argument("--images", action="store_true", help="only targets that an image is built for")
    parser.add_argument("--wheels", default="", metavar="DIR", help="bake: put the wheels into this folder and hand them in")
    options.add_base(parser, "bake: ")
    options.add_compression(parser, "bake: of the layers")
    options.add_push(parser, "bake: push the images to this repository, as REGISTRY/NAME")
    parser.add_argument("--cache", default="", metavar="NAME", help="bake: keep the builder's cache in this repository")


COMMAND = Command(
    arguments=MatrixArgs,
    add_options=add_options,
    run=run,
    example="envgen matrix --format github --changed-since origin/main",
    text=TEXT,
)
