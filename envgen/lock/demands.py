"""Why each package is in a lock: checks a resolution against the wheels' own metadata, whatever the resolver."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from envgen.core.errors import ResolutionError
from envgen.core.requirements import marker_holds
from envgen.core.target import Target
from envgen.lock.failures.disagreement import unmet_error, unneeded_error
from envgen.lock.model import LockedBound, RequiredBy
from envgen.lock.select import SelectedWheel
from envgen.profiles import Bound, Profile
from envgen.profiles.cuda import cuda_of_local, runtime_of


def demands_of(
    requirements: Sequence[str], requirer: str, chosen: Sequence[SelectedWheel], target: Target
) -> dict[str, tuple[RequiredBy, ...]]:
    """The demands on each package, from the `requirements` of the profile `requirer` and from other packages.

    Follows the requirements through the wheels' metadata, with markers and extras. Raises ResolutionError for a package
    that is missing, not required, or at a version that is not admitted.
    """
    by_name = {entry.wheel.name: entry for entry in chosen}
    demands_by_name: dict[str, list[RequiredBy]] = defaultdict(list)
    queue = [(requirer, Requirement(text), "") for text in requirements]
    expanded: set[tuple[str, str]] = set()
    while queue:
        asker, requirement, extra = queue.pop()
        if not _is_meant(requirement, {**target.markers(), "extra": extra}, f"{target.slug}: {asker}"):
            continue
        name = canonicalize_name(requirement.name)
        entry = by_name.get(name)
        if entry is None or requirement.url or not requirement.specifier.contains(entry.wheel.version, prereleases=True):
            raise unmet_error(asker, requirement, entry.wheel.version if entry else None, target)
        demand = RequiredBy(name=asker, requirement=_canonical(requirement))
        if demand not in demands_by_name[name]:
            demands_by_name[name].append(demand)
        for wanted in ("", *sorted(requirement.extras)):
            if (name, wanted) not in expanded:
                expanded.add((name, wanted))
                queue.extend((name, inner, wanted) for inner in entry.requires)
    unneeded = sorted(by_name.keys() - demands_by_name.keys())
    if unneeded:
        raise unneeded_error(unneeded, chosen, target)
    return {name: tuple(sorted(demands, key=lambda demand: (demand.name, demand.requirement))) for name, demands in demands_by_name.items()}


def _is_meant(requirement: Requirement, environment: Mapping[str, str], where: str) -> bool:
    try:
        return marker_holds(requirement, environment)
    except InvalidRequirement as error:
        raise ResolutionError(where, f"asks for what can't be understood: {error}") from error


def files_of_demands(profile: Profile, target: Target) -> dict[tuple[str, RequiredBy], str]:
    """The file of each of the profile's own demands, by package and demand."""
    return {
        (entry.requirement.name, RequiredBy(name=profile.name, requirement=_canonical(entry.requirement))): entry.file
        for entry in profile.on_target(target).entries
    }


def _canonical(requirement: Requirement) -> str:
    """A requirement without its name: extras and versions, `*` for any."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    specifier = ",".join(sorted(str(part) for part in requirement.specifier))
    return extras + specifier or "*"


def bounds_of(package: str, bounds: Sequence[Bound]) -> tuple[LockedBound, ...]:
    """The documented bounds on `package`, in the order of the constraint sets."""
    return tuple(
        LockedBound(set_name=bound.set_name, requirement=bound.requirement, source=bound.source)
        for bound in bounds
        if bound.package == package and bound.requirement
    )


def check_bounds(chosen: Sequence[SelectedWheel], bounds: Sequence[Bound], target: Target) -> None:
    """Raises ResolutionError for a version excluded by a documented bound or by the wheel's own Requires-Python."""
    for entry in chosen:
        wheel = entry.wheel
        if not python_allowed(entry.requires_python, target):
            problem = f"{wheel.version} wants Python {entry.requires_python}, the target has {target.python_full}"
            raise ResolutionError(f"{target.slug}: {wheel.name}", problem)
        for bound in bounds:
            if bound.package == wheel.name and not SpecifierSet(bound.requirement).contains(wheel.version, prereleases=True):
                problem = f"resolved to {wheel.version}, but the documented bound is {bound.requirement} ({bound.source})"
                raise ResolutionError(f"{target.slug}: {wheel.name}", problem)


def check_cuda(profile: Profile, chosen: Sequence[SelectedWheel], target: Target) -> None:
    """Raises ResolutionError unless the resolution has the CUDA of `profile`."""
    version = next((entry.wheel.version for entry in chosen if entry.wheel.name == "torch"), "")
    # A wheel that bundles the CUDA libraries requires no package for them: its local version names the CUDA it is built for.
    cuda = runtime_of((entry.wheel.name, entry.wheel.version) for entry in chosen) or cuda_of_local(version)
    if profile.cuda and cuda != profile.cuda:
        torch = f"torch {version}" if version else "no torch"
        problem = f"resolved to {torch} with {f'CUDA {cuda}' if cuda else 'no CUDA'}, but the profile is for CUDA {profile.cuda}"
        hint = f'name the CUDA that this torch is built for: cuda = "{cuda}"' if cuda else "take another torch, or cuda away"
        raise ResolutionError(f"{target.slug}: cuda", problem, hint=hint)


def python_allowed(requires_python: str, target: Target) -> bool:
    """Whether a wheel's Requires-Python admits `target`; one that can't be parsed admits all."""
    try:
        return SpecifierSet(requires_python).contains(target.python_full, prereleases=True)
    except InvalidSpecifier:
        # Old wheels have bounds such as >=3.5.*, which installers ignore.
        return True


def inherited(profile: Profile, demands: Mapping[str, tuple[RequiredBy, ...]]) -> frozenset[str]:
    """The packages required even without the profile's own additions to its parent."""
    own = {canonicalize_name(Requirement(text).name) for text in profile.own}
    roots = {canonicalize_name(Requirement(text).name) for text in profile.requirements} - own
    needed_by: dict[str, set[str]] = defaultdict(set)
    for name, entries in demands.items():
        for demand in entries:
            needed_by[demand.name].add(name)
    reached: set[str] = {name for name in roots if name in demands}
    queue = list(reached)
    while queue:
        for name in needed_by[queue.pop()] - reached:
            reached.add(name)
            queue.append(name)
    return frozenset(reached)
