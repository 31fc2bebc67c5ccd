"""Guards against dependency confusion: a package in a mapped index never comes from the default one, unless declared public.

Anyone can publish a private name on a public index. So if a package from a mapped index requires one that is also in that index
but not mapped to it, it is refused. Mapped packages that others require are added to the request, since uv only maps direct
requirements.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import IndexRefusedError, ProfileError, ProfileErrors
from envgen.core.parallel import map_parallel
from envgen.core.requirements import marker_holds
from envgen.lock.failures.candidates import candidates, needs_of, newest_of
from envgen.lock.model import RequiredBy
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import SelectedWheel
from envgen.profiles import Index, Profile
from envgen.sources import Packages
from envgen.sources.index import CONNECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stray:
    """A requirement of a package from a mapped index that would come from the default index."""

    package: str
    asker: str
    index: Index


def name_mapped(profile: Profile, query: ResolveRequest, packages: Packages) -> ResolveRequest:
    """Adds the mapped packages that mapped packages require to `query`.

    Raises ProfileError if one requires an unmapped package that its index also has; ResolutionError and its subclasses.
    """
    guarded = {name: index for index in query.indexes if "*" not in index.public for name in index.packages}
    queue = [Requirement(text) for text in query.requirements]
    named = {canonicalize_name(requirement.name) for requirement in queue}
    added: list[str] = []
    strays: list[_Stray] = []
    while queue:
        asker = queue.pop(0)
        index = guarded.get(canonicalize_name(asker.name))
        for inner in _required(asker, query, packages) if index else ():
            package = canonicalize_name(inner.name)
            if package in guarded and package not in named:
                named.add(package)
                queue.append(inner)
                added.append(f"{package}{inner.specifier}")
            elif index and query.index_of(package) == "default":
                strays.append(_Stray(package=package, asker=canonicalize_name(asker.name), index=index))
    _refuse(profile, strays, packages)
    return replace(query, requirements=(*query.requirements, *added))


def _required(asker: Requirement, query: ResolveRequest, packages: Packages) -> Iterator[Requirement]:
    """The requirements on the target of the newest release that `asker` admits; none if it is missing or unreadable."""
    name, markers = canonicalize_name(asker.name), query.target.markers()
    newest = newest_of(candidates(query, packages.files(query.index_of(name), name), name), asker.specifier)
    if newest is None:
        return
    for inner in needs_of(newest, packages).requires:
        try:
            if any(marker_holds(inner, {**markers, "extra": extra}) for extra in ("", *asker.extras)):
                yield inner
        except InvalidRequirement:
            continue  # reported when the demands are checked


def check_private(
    profile: Profile,
    query: ResolveRequest,
    chosen: Sequence[SelectedWheel],
    demands: Mapping[str, Sequence[RequiredBy]],
    packages: Packages,
) -> None:
    """Raises ProfileError, or ProfileErrors, for a package from the default index that its requirer's index also has."""
    home = {entry.wheel.name: entry.wheel.index for entry in chosen}
    indexes = {index.name: index for index in query.indexes}
    strays = [
        _Stray(package=package, asker=demand.name, index=indexes[home[demand.name]])
        for package, index in home.items()
        if index == "default"
        for demand in demands[package]
        if home.get(demand.name, "default") != "default"
    ]
    _refuse(profile, strays, packages)


def _refuse(profile: Profile, strays: Sequence[_Stray], packages: Packages) -> None:
    """Raises for `strays` that the requirer's index has and the profile does not declare public."""
    suspects = {(stray.index.name, stray.package): stray for stray in strays if not {"*", stray.package} & set(stray.index.public)}
    has = map_parallel(lambda pair: _has(packages, *pair), list(suspects), at_once=CONNECTIONS)
    refused = [stray for stray, present in zip(suspects.values(), has, strict=True) if present]
    faults = [
        _fault(profile, index, [stray for stray in refused if stray.index == index]) for index in dict.fromkeys(s.index for s in refused)
    ]
    if faults:
        raise faults[0] if len(faults) == 1 else ProfileErrors(tuple(faults))


def _has(packages: Packages, index: str, package: str) -> bool:
    try:
        return bool(packages.files(index, package))
    except IndexRefusedError:  # how buckets report a missing file
        return False


def _fault(profile: Profile, index: Index, strays: Sequence[_Stray]) -> ProfileError:
    names = list(dict.fromkeys(stray.package for stray in strays))
    lines = [f"{stray.asker} requires {stray.package}" for stray in strays]
    problem = (
        f"{', '.join(lines)}: the index {index.name} has it, but it would come from the default index, where anybody may put that name"
    )
    if len(names) > 1:
        problem = problem.replace(" has it, but it would", " has them, but they would").replace("that name", "those names")
    mapped = ", ".join(f'"{name}"' for name in (*index.packages, *names))
    public = ", ".join(f'"{name}"' for name in (*index.public, *names))
    hint = f"in [index.{index.name}]: packages = [{mapped}]\nor, if the public one is meant: public = [{public}]"
    return ProfileError(f"{profile.origin(f'index.{index.name}')}: index.{index.name}", problem, hint=hint)
