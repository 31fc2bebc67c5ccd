"""Why a package is locked in its version, and what holds back each newer one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from envgen.core.errors import ResolutionError
from envgen.core.requirements import marker_holds, read_needs
from envgen.lock.demands import python_allowed
from envgen.lock.model import Lock, Package
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import best_wheel
from envgen.profiles import Bound
from envgen.sources import IndexFile, Packages


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Newer versions, from `first` to `last`, that all are held back for one reason."""

    first: str
    last: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyContext:
    """Everything the reasons are drawn from."""

    lock: Lock
    query: ResolveRequest
    bounds: tuple[Bound, ...]
    packages: Packages


def held_back(package: Package, scene: WhyContext) -> tuple[HeldBack, ...]:
    """What holds back each newer release of `package` that the index lists, oldest first.

    Raises IndexUnavailableError when the index does not answer.
    """
    name = package.wheel.name
    files = scene.packages.files(package.wheel.index, name)
    versions = sorted({version for file in files if (version := _version(file)) and version > Version(package.wheel.version)})
    found: list[HeldBack] = []
    for version in versions:
        if version.is_prerelease:
            continue
        reason = next(_reasons(package, version, files, scene))
        if found and found[-1].reason == reason:
            found[-1] = replace(found[-1], last=str(version))
        else:
            found.append(HeldBack(first=str(version), last=str(version), reason=reason))
    return tuple(found)


def _version(file: IndexFile) -> Version | None:
    try:
        return parse_wheel_filename(file.filename)[1]
    except InvalidWheelFilename:
        return None


def _reasons(package: Package, version: Version, files: Sequence[IndexFile], scene: WhyContext) -> Iterator[str]:
    """The reasons against `version`, the hardest first; there is always one."""
    name, query = package.wheel.name, scene.query
    ours = [file for file in files if _version(file) == version]
    if query.publishes_times(name):
        days = [file.uploaded for file in ours if file.uploaded]
        if days and min(days) >= query.cutoff(name):
            yield f"uploaded after the profile's as_of, {query.cutoff(name):%Y-%m-%d}"
    for bound in scene.bounds:
        if bound.package == name and not SpecifierSet(bound.requirement).contains(version):
            yield f"the documented bound on {name} is {bound.requirement} ({bound.source})"
    for demand in package.demands:
        if not demand.specifier.contains(version):
            yield f"{demand.name} asks for {demand.requirement}"
    ranks = query.target.tag_ranks
    file = best_wheel(ours, version, ranks)
    if file is None:
        yield f"it has no wheel for {query.target.slug}"
    elif file.yanked:
        yield "it was yanked"
    elif file.sha256:
        yield from _own_wishes(file, scene)
    yield "nothing found here forbids it: the resolver chose the older one for the sake of the whole"


def _own_wishes(file: IndexFile, scene: WhyContext) -> Iterator[str]:
    """What the wheel `file` itself wants that can't be had."""
    target = scene.query.target
    metadata = scene.packages.metadata(file)
    try:
        needs = read_needs(metadata, file.filename, file.index)
        wanted = [requirement for requirement in needs.requires if marker_holds(requirement, target.markers())]
    except (ResolutionError, InvalidRequirement):
        yield "its requirements can't be read"
        return
    if not python_allowed(needs.requires_python, target):
        yield f"it wants Python {needs.requires_python}, the target has {target.python_full}"
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        for bound in scene.bounds:
            if bound.package == name and (requirement.specifier & SpecifierSet(bound.requirement)).is_unsatisfiable():
                yield f"it wants {name}{requirement.specifier}, but the documented bound is {bound.requirement} ({bound.source})"
        locked = scene.lock.package(name)
        if locked and not requirement.specifier.contains(locked.wheel.version, prereleases=True):
            yield f"it wants {name}{requirement.specifier}, the lock has {locked.wheel.version}"
