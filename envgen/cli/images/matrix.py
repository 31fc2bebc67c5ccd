"""`envgen matrix`: lists every profile on every target, for people, GitHub Actions and docker buildx bake."""

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

bake: a file for docker buildx bake, to be run in the project folder; its images have the same digests as those of
envgen build. The builder fetches each wheel by its hash, unless --wheels provides them. Test the images with envgen smoke.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixArgs:
    """The arguments of `envgen matrix`."""

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
    """Print the matrix; the exit code is 0, even if nothing is affected."""
    _check(args)
    profiles = [workspace.project.profile(name) for name in args.profiles or _default_profiles(args, workspace)]
    changed = None
    if args.changed_since:
        changed = GitRepo(workspace.settings, workspace.project.folder).changed_since(args.changed_since)
    entries = [cell for cell in matrix_entries(workspace.project, profiles, changed) if cell.image or not args.images]
    if args.format == "github":
        print_json({"include": [asdict(cell) for cell in entries]}, indent=None)
    elif args.format == "bake":
        print_json(bake_file(list(_targets(args, workspace, [cell for cell in entries if cell.image]))))
    elif args.format == "json":
        print_json([asdict(cell) for cell in entries])
    else:
        print_lines(_table(entries))
    return 0


def _default_profiles(args: MatrixArgs, workspace: Workspace) -> tuple[str, ...]:
    """The project's own, or for people to read all that come with envgen where there is no project; nothing builds those unasked."""
    project = workspace.project
    return project.own_profiles() or project.profiles() if args.format == "table" else project.default_profiles()


def _check(args: MatrixArgs) -> None:
    for option, value in (("--base", args.base), ("--wheels", args.wheels), ("--push", args.push), ("--cache", args.cache)):
        if value and args.format != "bake":
            raise UsageError(option, "only applies to --format bake", hint="add --format bake")
    for repository in filter(None, (args.push, args.cache)):
        check_repository(repository)


def _table(entries: Sequence[MatrixEntry]) -> Iterator[str]:
    for cell in entries:
        state = "image" if cell.image else "lock only"
        words = [f"{cell.profile:<12} {cell.target:<20}", f"{state:<10}", f"{'locked' if cell.lock else 'NOT LOCKED':<11}"]
        yield " ".join([*words, ", ".join(cell.tiers)])
    if not entries:
        yield "nothing is affected"


def _targets(args: MatrixArgs, workspace: Workspace, entries: Sequence[MatrixEntry]) -> Iterator[BakeTarget]:
    """The bake target of each cell. Raises UsageError, StaleLockError, BuildError."""
    engine = make_engine(workspace.settings)
    for cell in entries:
        name = f"{cell.profile}-{cell.target}"
        profile = workspace.project.profile(cell.profile)
        target = profile.find_targets(cell.target)[0]
        lock = project.checked_lock(workspace, profile, target)
        if args.wheels or args.base:  # another base may need other wheels, by their markers
            fetch_wheels(workspace, [lock])
        tag = f"{args.push}:{name}" if args.push else ""
        build_options = build.BuildOptions(base=args.base or None, tag=tag or None, compression=args.compression)
        request, _ = build.make_request(workspace, lock, engine, build_options)
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
    """Add to `request` the wheels, in folders below `wheels`, or if that is empty the indexes for the builder."""
    if not wheels:
        return replace(request, arguments={**request.arguments, **index_arguments(lock, workspace.settings)})
    return replace(request, contexts=build.contexts_of(write_contexts(workspace.store, build.wheel_groups(lock), Path(wheels))))


def _from_project(workspace: Workspace, folder: Path) -> Path:
    """The path of `folder` from the project folder, where bake runs; a bundled one stays absolute."""
    top = workspace.project.folder
    return folder.relative_to(top) if folder.is_relative_to(top) else folder


def add_options(parser: ArgumentParser) -> None:
    options.add_profiles(parser)
    parser.add_argument("--format", choices=("table", "json", "github", "bake"), default="table", help="the output format (default: table)")
    parser.add_argument("--changed-since", default="", metavar="REV", help="only what changes since this git revision can affect")
    parser.add_argument("--images", action="store_true", help="only targets with an image")
    parser.add_argument("--wheels", default="", metavar="DIR", help="bake: write the wheels to this folder and build from it")
    options.add_base(parser, "bake: ")
    options.add_compression(parser, "bake: layer compression (default: zstd)")
    options.add_push(parser, "bake: push the images to this repository, as REGISTRY/NAME")
    parser.add_argument("--cache", default="", metavar="NAME", help="bake: store the builder's cache in this repository")


COMMAND = Command(
    arguments=MatrixArgs,
    add_options=add_options,
    run=run,
    example="envgen matrix --format github --changed-since origin/main",
    text=TEXT,
)
