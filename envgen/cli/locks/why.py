"""`envgen why`: explains which requirements and bounds lock a package at its version."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from packaging.utils import canonicalize_name

from envgen.cli import options
from envgen.cli.citations import with_documents
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.core.errors import IndexUnavailableError, UsageError
from envgen.core.toml import suggestion
from envgen.lock import Package, RequiredBy, project
from envgen.lock.demands import files_of_demands
from envgen.lock.why import HeldBack
from envgen.workspace import Workspace

SHAPE = """\
{"wheel": {"name", "version", "file", "sha256", "size": bytes, "index", "uploaded": instant}, "layer", "demands": [{"name",
"requirement", "file": text | null}], "bounds": [{"set_name", "requirement", "source"}],
"held_back": [{"first", "last", "reason"}] | null, "not_asked"}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyArgs:
    """The arguments of `envgen why`."""

    profile: str
    package: str
    target: str
    json: bool


def run(args: WhyArgs, workspace: Workspace) -> int:
    profile = workspace.project.chosen_profile(args.profile)
    target = profile.find_targets(args.target)[0]
    lock = project.checked_lock(workspace, profile, target)
    package = lock.package(canonicalize_name(args.package))
    if package is None:
        names = tuple(locked.wheel.name for locked in lock.packages)
        raise UsageError(args.package, f"not in the lock of {profile.name} for {target.slug}", hint=suggestion(args.package, names))
    try:
        held: tuple[HeldBack, ...] | None = project.why(workspace, profile, lock, target, package)
        not_asked = ""
    except IndexUnavailableError as error:
        held, not_asked = None, str(error)
    of_profile = files_of_demands(profile, target)
    files = {demand: of_profile[package.wheel.name, demand] for demand in package.demands if (package.wheel.name, demand) in of_profile}
    if args.json:
        print_json(as_json(package, held, not_asked, files), default=str)
    else:
        lines = list(_lines(package, held, not_asked, files))
        print_lines(with_documents(lines, workspace.project.documents(profile)))
    return 0


def as_json(package: Package, held: Sequence[HeldBack] | None, not_asked: str, files: Mapping[RequiredBy, str]) -> Mapping[str, object]:
    demands = [{**asdict(demand), "file": files.get(demand)} for demand in package.demands]
    return {**asdict(package), "demands": demands, "held_back": held and [asdict(entry) for entry in held], "not_asked": not_asked}


def _lines(package: Package, held: Sequence[HeldBack] | None, not_asked: str, files: Mapping[RequiredBy, str]) -> Iterator[str]:
    """What requires a package, its documented bounds, and what holds back newer versions; `files` are those of a profile's requirements."""
    wheel = package.wheel
    uploaded = f"uploaded {wheel.uploaded:%Y-%m-%d}" if wheel.uploaded else "upload time not published"
    yield f"{wheel.name} {wheel.version} (from index {wheel.index}, {uploaded}, layer {package.layer})"
    yield "\nrequired by"
    for demand in package.demands:
        file = f" ({files[demand]})" if demand in files else ""
        yield f"  {demand.name:<20} {'any version' if demand.requirement == '*' else demand.requirement}{file}"
    yield "\ndocumented bounds" if package.bounds else "\nno documented bounds"
    for bound in package.bounds:
        yield f"  {bound.requirement:<20} {bound.source} (set {bound.set_name})"
    if held is None:
        yield f"\nnewer versions: NOT CHECKED: {not_asked}"
        return
    yield "\nnewer versions" if held else "\nnewer versions: none in the index"
    for entry in held:
        span = entry.first if entry.first == entry.last else f"{entry.first} to {entry.last}"
        yield f"  {span:<20} {entry.reason}"


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    parser.add_argument("package", metavar="PACKAGE")
    options.add_target(parser, "the target (default: the first)")
    options.add_json(parser, "the answer as JSON")


COMMAND = Command(arguments=WhyArgs, add_options=add_options, run=run, example="envgen why cpu-base transformers", shape=SHAPE)
