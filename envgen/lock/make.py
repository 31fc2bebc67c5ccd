"""Makes a lock from a profile."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from envgen.core.errors import HubUnavailableError, IndexRefusedError, ProfileError, ProfileErrors, ResolutionError
from envgen.core.requirements import exact_version
from envgen.core.target import Target
from envgen.core.text import pluralize
from envgen.lock.checks.notices import known_pairs, notices_of, passing_notices
from envgen.lock.checks.paths import compare_paths
from envgen.lock.checks.private import check_private, name_mapped
from envgen.lock.checks.refusals import Resolved, refuse
from envgen.lock.demands import bounds_of, check_bounds, check_cuda, demands_of, inherited
from envgen.lock.header import lock_without_packages
from envgen.lock.model import Lock, LockedModel, Package
from envgen.lock.notice import Notice
from envgen.lock.resolvers import Resolution, Resolver, ResolveRequest
from envgen.lock.select import SelectedWheel, choose_wheel, choose_wheels, versions_of
from envgen.profiles import Bound, Profile
from envgen.profiles.cuda import index_name, torch_of
from envgen.profiles.layer_groups import check_sizes, layer_of
from envgen.profiles.pairs import PairTable
from envgen.sources import Hub, HubName, IndexClient, LockedModelFiles, Packages, Wheel
from envgen.sources.models import COMMIT, parse_model_name
from envgen.workspace import Workspace

_NOTHING_KNOWN = PairTable()


def query_for(profile: Profile, bounds: Sequence[Bound], target: Target, pairs: PairTable = _NOTHING_KNOWN) -> ResolveRequest:
    """The resolve request of `profile` for `target`; `pairs` supply the matching release for error hints.

    Raises ProfileError, or ProfileErrors, for requirements without an exact version from an index without upload times.
    """
    profile = profile.for_target(target)
    requirements = [Requirement(text) for text in profile.requirements]
    _check_exact(profile, target, [requirement.name for requirement in requirements], pairs)
    for requirement in requirements:
        requirement.marker = None
    return ResolveRequest(
        requirements=tuple(map(str, requirements)),
        constraints=tuple(f"{bound.package}{bound.requirement}" for bound in bounds if bound.requirement and bound.package != "python"),
        target=target,
        as_of=profile.as_of_instant(),
        moved=tuple((name, profile.as_of_instant(name)) for name, _ in profile.moved),
        indexes=profile.indexes_for(target),
    )


def _check_exact(profile: Profile, target: Target, packages: Sequence[str], pairs: PairTable) -> None:
    """Raises ProfileError, or ProfileErrors, for `packages` without an exact version from an index without upload times.

    `profile` is already narrowed to `target`.
    """
    exact = {requirement.name for text in profile.requirements if exact_version(requirement := Requirement(text))}
    torch, faults = torch_of(profile, target), []
    for index in profile.indexes_for(target):
        for package in index.packages:
            if not index.upload_times and package in packages and package not in exact:
                problem = f"{package} comes from the index {index.name}, which publishes no upload times: expected an exact version"
                named = (text for text in profile.requirements if Requirement(text).name == package)
                file = profile.file_of(next(named, ""))
                fitting = pairs.release_for(package, torch) if torch else ""
                hint = f'for torch {torch} that is "{package}=={fitting}"' if fitting else f'as in "{package}==1.2.3"'
                faults.append(ProfileError(f"{file}: requirements", problem, hint=hint))
    if faults:
        raise faults[0] if len(faults) == 1 else ProfileErrors(tuple(faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLock:
    """A lock, and the notices that depend on how this machine reaches an index, and so are not part of it."""

    lock: Lock
    passing: tuple[Notice, ...] = ()


def make_lock(workspace: Workspace, profile: Profile, bounds: Sequence[Bound], target: Target, resolver: Resolver) -> Lock:
    """The lock of `profile` for `target`, from its inputs and the indexes alone. Raises as `make` does."""
    return make(workspace, profile, bounds, target, resolver).lock


def make(workspace: Workspace, profile: Profile, bounds: Sequence[Bound], target: Target, resolver: Resolver) -> MadeLock:
    """Like `make_lock`, with the notices of this machine.

    Raises ResolutionError, ResolutionErrors, IndexUnavailableError or ProfileError.
    """
    profile, pairs = profile.for_target(target), workspace.project.pairs()
    request, packages = query_for(profile, bounds, target, pairs), workspace.packages(profile.index_urls)
    _check_offered(profile, target, packages.client)
    model = _lock_model(profile, request, packages, workspace.hub) if profile.base(target) else None
    # Not resolved: the profile names the exact version of uv.
    name, _, version = profile.installer.partition("==") if profile.base(target) else ("", "", "")
    direct = [*(canonicalize_name(Requirement(text).name) for text in profile.requirements), *filter(None, [name])]
    packages.client.prefetch([(request.index_of(package), package) for package in direct])
    label = f"{profile.name} {target.slug}"
    workspace.reporter.detail(f"{label}: reading the indexes")
    request = name_mapped(profile, request, packages)
    workspace.reporter.detail(f"{label}: resolving with {resolver.name}")
    resolution = _resolution(workspace, profile, request, bounds, resolver)
    workspace.reporter.detail(f"{label}: reading the metadata of {pluralize(len(resolution.versions), 'wheel')}")
    chosen = choose_wheels(request, resolution, packages)
    installer = choose_wheel(request, (name, version), packages) if name else None
    _check_exact(profile, target, [entry.wheel.name for entry in chosen], pairs)
    if any(entry.wheel.name == profile.name for entry in chosen):
        problem = "has the name of a package that it locks, so that a lock could not tell who asks for what"
        raise ProfileError(f"profiles/{profile.name}.toml", problem, hint=f"rename it, as in profiles/{profile.name}-env.toml")
    check_bounds(chosen, bounds, target)
    check_cuda(profile, chosen, target)
    resolved = _checked(workspace, profile, bounds, request, chosen)
    locked = _locked(resolved)
    if profile.base(target):
        check_sizes(((package.layer, package.wheel.size) for package in locked), f"profiles/{profile.name}.toml: {target.slug}")
    lock = replace(lock_without_packages(profile, bounds, target), installer=installer, packages=locked, model=model)
    return MadeLock(lock=replace(lock, notices=notices_of(resolved, lock)), passing=passing_notices(resolved))


def _checked(
    workspace: Workspace, profile: Profile, bounds: Sequence[Bound], query: ResolveRequest, chosen: tuple[SelectedWheel, ...]
) -> Resolved:
    """The checked resolution. Raises ResolutionError, or ResolutionErrors, if it can't become a lock."""
    target, packages = query.target, workspace.packages(profile.index_urls)
    demands = demands_of(profile.requirements, profile.name, chosen, target)
    check_private(profile, query, chosen, demands, packages)
    resolved = Resolved(
        profile=profile,
        target=target,
        query=query,
        chosen=chosen,
        demands=demands,
        bounds=tuple(bounds),
        packages=packages,
        pairs=workspace.project.pairs(),
        toolkit=workspace.project.toolkit(),
        paths=compare_paths(chosen, packages),
    )
    try:
        refuse(resolved)
    except ResolutionError:
        # A refused resolution has no lock for its notices, and they may help to fix it.
        for notice in known_pairs(resolved):
            workspace.reporter.step(f"notice: {profile.name} {target.slug}: {notice}")
        raise
    return resolved


def _locked(resolved: Resolved) -> tuple[Package, ...]:
    """The locked packages, each with its layer and reasons."""
    profile, demands = resolved.profile, resolved.demands
    from_parent = inherited(profile, demands)
    return tuple(
        Package(
            wheel=entry.wheel,
            layer=layer_of(entry.wheel.name, profile.layers, entry.wheel.name in from_parent),
            demands=demands[entry.wheel.name],
            bounds=bounds_of(entry.wheel.name, resolved.bounds),
        )
        for entry in resolved.chosen
    )


def _resolution(workspace: Workspace, profile: Profile, query: ResolveRequest, bounds: Sequence[Bound], resolver: Resolver) -> Resolution:
    """Resolves `query`, each request only once per command.

    Raises ResolutionError and its subclasses, explained from the indexes where they show the cause.
    """
    try:
        return workspace.memo.get((resolver.name, query), lambda: resolver.resolve(query))
    except ResolutionError as error:
        from envgen.lock.failures.diagnose import Unresolved, diagnose

        packages = workspace.packages(profile.index_urls)
        raise diagnose(Unresolved(profile=profile, query=query, bounds=tuple(bounds), packages=packages, error=error)) from error


def _lock_model(profile: Profile, query: ResolveRequest, packages: Packages, hub: Hub) -> LockedModel | None:
    """The profile's model with its hashes, None without a model. Raises ResolutionError, its subclasses, or ProfileError."""
    name = parse_model_name(profile.model)
    if name is None:
        return None
    source: Wheel | LockedModelFiles
    if isinstance(name, HubName):
        _check_commit(profile, name, hub)
        source = hub.repository(name)
    else:
        source = choose_wheel(query, (name.name, name.version), packages)
    return LockedModel(source=source, prompt=profile.prompt, expect=profile.expect)


def _check_commit(profile: Profile, name: HubName, hub: Hub) -> None:
    """Raises ProfileError for a movable revision: the lock would depend on when it was made."""
    if COMMIT.fullmatch(name.revision):
        return
    try:
        hint = f'as of now that is: model = "{replace(name, revision=hub.commit(name))}"'
    except HubUnavailableError:
        hint = "its page on the hub says it, under Files and versions"
    where = f"{profile.origin('smoke.model')}: smoke.model"
    problem = f"found the revision {name.revision!r}, which may move, expected a commit of 40 hexadecimal digits"
    raise ProfileError(where, problem, hint=hint)


def _check_offered(profile: Profile, target: Target, client: IndexClient) -> None:
    """Raises ResolutionError if the index for the profile's CUDA lacks that torch: a resolver would only report "no versions"."""
    index = next((index for index in profile.indexes_for(target) if profile.cuda and index.name == index_name(profile.cuda)), None)
    if index is None:
        return
    torch = torch_of(profile, target)
    try:
        offered = versions_of(client.files(index.name, "torch"))
    except IndexRefusedError:
        offered = set()
    if not any(Version(version) == Version(torch) for version in offered):
        problem = f"no index has torch {torch} built for CUDA {profile.cuda}: {client.location(index.name)} has {_some(offered)}"
        raise ResolutionError(
            f"{target.slug}: cuda", problem, hint="choose another CUDA or another torch, as pytorch.org lists them together"
        )


def _some(versions: Collection[str]) -> str:
    newest = sorted(versions, key=Version, reverse=True)[:3]
    return f"{', '.join(newest)} as its newest" if newest else "no torch at all"
