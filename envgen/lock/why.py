"""Explains why a package is locked at its version, and what holds back each newer one."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from envgen.core.errors import IndexUnavailableError, ResolutionError, VerificationError
from envgen.core.parallel import map_parallel
from envgen.core.requirements import marker_holds, read_needs
from envgen.lock.demands import python_allowed
from envgen.lock.model import Lock, Package, RequiredBy
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import best_wheel, wheel_version
from envgen.profiles import Bound
from envgen.sources import IndexFile, Packages
from envgen.sources.index import CONNECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Consecutive newer versions, `first` to `last`, held back for the same reason."""

    first: str
    last: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyContext:
    """Everything needed to explain a version."""

    lock: Lock
    query: ResolveRequest
    bounds: tuple[Bound, ...]
    packages: Packages


def held_back(package: Package, scene: WhyContext) -> tuple[HeldBack, ...]:
    """What holds back each newer release of `package` in its index, oldest first.

    Raises IndexUnavailableError if the index does not answer.
    """
    name = package.wheel.name
    files = scene.packages.files(package.wheel.index, name)
    versions = sorted({version for file in files if (version := version_of(file)) and version > Version(package.wheel.version)})
    held: list[HeldBack] = []
    for version in versions:
        if version.is_prerelease:
            continue
        reason = held_back_by(package, version, files, scene)
        if held and held[-1].reason == reason:
            held[-1] = replace(held[-1], last=str(version))
        else:
            held.append(HeldBack(first=str(version), last=str(version), reason=reason))
    return tuple(held)


def held_back_by(package: Package, version: Version, files: Sequence[IndexFile], scene: WhyContext) -> str:
    """What holds back `version` of `package`, given the `files` in its index. Raises as `held_back` does."""
    return next(_reasons(package, version, files, scene))


def version_of(file: IndexFile) -> Version | None:
    """The version of a wheel or source distribution, None for any other file."""
    with suppress(InvalidSdistFilename, InvalidVersion):
        return parse_sdist_filename(file.filename)[1] if file.filename.endswith((".tar.gz", ".zip")) else wheel_version(file)
    return None


def _reasons(package: Package, version: Version, files: Sequence[IndexFile], scene: WhyContext) -> Iterator[str]:
    """The reasons against `version`, strongest first; there is always at least one."""
    name, request = package.wheel.name, scene.query
    ours = [file for file in files if version_of(file) == version]
    # Files may be added to a release later. As in locking, only those uploaded by the cutoff count.
    then = [file for file in ours if not (request.publishes_times(name) and file.uploaded and file.uploaded >= request.cutoff(name))]
    if ours and not then:
        yield f"uploaded after the profile's as_of, {request.cutoff(name):%Y-%m-%d}"
    for bound in scene.bounds:
        if bound.package == name and not SpecifierSet(bound.requirement).contains(version):
            yield f"the documented bound on {name} is {bound.requirement} ({bound.source})"
    for demand in package.demands:
        if not demand.specifier.contains(version):
            yield f"{demand.name} asks for {demand.requirement}"
    yield from _reasons_of_wheels(version, ours, then, package, scene)
    yield "nothing found here forbids it: the resolver chose the older one for the sake of the whole"


def _reasons_of_wheels(
    version: Version, files: Sequence[IndexFile], then: Sequence[IndexFile], package: Package, scene: WhyContext
) -> Iterator[str]:
    """The reasons found in the files of `version`; `then` are those uploaded by the profile's date."""
    if not any(wheel_version(file) for file in files):
        yield "it was published as source only"
    target = scene.query.target
    file = best_wheel(then, version, target.tag_ranks)
    if file is None:
        too_late = best_wheel(files, version, target.tag_ranks)
        late = f" that was uploaded before the profile's as_of, {scene.query.cutoff(package.wheel.name):%Y-%m-%d}" if too_late else ""
        yield f"it has no wheel for {target.slug}{late}"
    elif file.yanked:
        yield "it was yanked"
    elif file.sha256 or scene.packages.client.metadata(file):
        yield from _own_wishes(package.wheel.name, file, scene)


def _own_wishes(own: str, file: IndexFile, scene: WhyContext) -> Iterator[str]:
    """Requirements of the wheel `file` that can't be met: causes first, then what may only follow from the locked release."""
    target = scene.query.target
    try:
        metadata = scene.packages.metadata(file)
        needs = read_needs(metadata, file.filename, file.index)
        wanted = [requirement for requirement in needs.requires if marker_holds(requirement, target.markers())]
    except IndexUnavailableError:
        raise
    except (ResolutionError, VerificationError, InvalidRequirement):
        yield "its requirements can't be read"
        return
    if not python_allowed(needs.requires_python, target):
        yield f"it wants Python {needs.requires_python}, the target has {target.python_full}"
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        for bound in scene.bounds:
            if bound.package == name and (requirement.specifier & SpecifierSet(bound.requirement)).is_unsatisfiable():
                yield f"it wants {name}{requirement.specifier}, but the documented bound is {bound.requirement} ({bound.source})"
    unmet = [(requirement, locked) for requirement in wanted if (locked := _unmet(requirement, scene.lock))]
    rivals = [(requirement, rival) for requirement, locked in unmet if (rival := _rival(requirement, locked, own, scene.lock.profile))]
    yield from (_against(requirement, rival) for requirement, rival in rivals if rival.name == scene.lock.profile)
    yield from _without_wheel(wanted, scene)
    yield from (_against(requirement, rival) for requirement, rival in rivals)
    for requirement, locked in unmet:
        yield f"it wants {canonicalize_name(requirement.name)}{requirement.specifier}, the lock has {locked.wheel.version}"


def _unmet(requirement: Requirement, lock: Lock) -> Package | None:
    """The locked package that `requirement` excludes, None if it admits it or the package is not locked."""
    locked = lock.package(canonicalize_name(requirement.name))
    return locked if locked and not requirement.specifier.contains(locked.wheel.version, prereleases=True) else None


def _against(requirement: Requirement, rival: RequiredBy) -> str:
    name = canonicalize_name(requirement.name)
    return f"it wants {name}{requirement.specifier}, but {rival.name} asks for {name}{rival.requirement}"


def _without_wheel(wanted: Sequence[Requirement], scene: WhyContext) -> Iterator[str]:
    """The requirements in `wanted` on unlocked packages without a wheel for the target."""
    request = scene.query
    ranks = request.target.tag_ranks
    others = [one for one in wanted if scene.lock.package(canonicalize_name(one.name)) is None]
    names = [canonicalize_name(one.name) for one in others]
    pages = map_parallel(lambda name: scene.packages.files(request.index_of(name), name), names, at_once=CONNECTIONS)
    for one, name, files in zip(others, names, pages, strict=True):
        dated = request.publishes_times(name)
        in_time = [file for file in files if not dated or (file.uploaded is not None and file.uploaded < request.cutoff(name))]
        versions = sorted(
            {version for file in in_time if (version := wheel_version(file)) and one.specifier.contains(version)}, reverse=True
        )
        if not any(best_wheel(in_time, version, ranks) for version in versions):
            yield f"it wants {name}{one.specifier}, of which no release has a wheel for {request.target.slug}"


def _rival(requirement: Requirement, locked: Package, own: str, profile: str) -> RequiredBy | None:
    """The demand on `locked` that excludes everything `requirement` admits, the profile's first; those of `own` don't count."""
    others = sorted((demand for demand in locked.demands if demand.name != own), key=lambda demand: demand.name != profile)
    return next((demand for demand in others if (demand.specifier & requirement.specifier).is_unsatisfiable()), None)
