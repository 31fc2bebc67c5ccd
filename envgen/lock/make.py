"""Making a lock from a profile."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from envgen.core.errors import HubUnavailableError, IndexRefusedError, ProfileError, ResolutionError
from envgen.core.requirements import exact_version
from envgen.core.target import Target
from envgen.lock.demands import bounds_of, check_bounds, check_cuda, demands_of, inherited
from envgen.lock.model import Lock, LockedIndex, LockedModel, Package, input_digest
from envgen.lock.resolvers import Resolver, ResolveRequest
from envgen.lock.select import choose_wheel, choose_wheels, versions_of
from envgen.profiles import Bound, Index, Profile
from envgen.profiles.cuda import index_name, torch_of
from envgen.profiles.layer_groups import check_sizes, groups_for, layer_of
from envgen.sources import Hub, HubName, IndexClient, LockedModelFiles, Packages, Wheel
from envgen.sources.models import COMMIT, parse_model_name
from envgen.workspace import Workspace


def query_for(profile: Profile, bounds: Sequence[Bound], target: Target) -> ResolveRequest:
    """What is asked of a resolver for `profile` on `target`: without markers, which are decided here and for every resolver alike.

    Raises ProfileError for a requirement without an exact version that comes from an index without upload times.
    """
    profile = profile.for_target(target)
    asked = [Requirement(text) for text in profile.requirements]
    _check_exact(profile, target, [requirement.name for requirement in asked])
    for requirement in asked:
        requirement.marker = None
    return ResolveRequest(
        requirements=tuple(map(str, asked)),
        constraints=tuple(f"{bound.package}{bound.requirement}" for bound in bounds if bound.requirement and bound.package != "python"),
        target=target,
        as_of=profile.as_of_instant(),
        moved=tuple((name, profile.as_of_instant(name)) for name, _ in profile.moved),
        indexes=profile.indexes_for(target),
    )


def _check_exact(profile: Profile, target: Target, packages: Sequence[str]) -> None:
    """Raises ProfileError for one of `packages` whose index publishes no upload times and that has no exact version.

    `profile` is as it is on `target`.
    """
    exact = {requirement.name for text in profile.requirements if exact_version(requirement := Requirement(text))}
    for index in profile.indexes_for(target):
        for package in index.packages:
            if not index.upload_times and package in packages and package not in exact:
                problem = f"{package} comes from the index {index.name}, which publishes no upload times: expected an exact version"
                named = (text for text in profile.requirements if Requirement(text).name == package)
                file = profile.file_of(next(named, ""))
                raise ProfileError(f"{file}: requirements", problem, hint=f'as in "{package}==1.2.3"')


def make_lock(workspace: Workspace, profile: Profile, bounds: Sequence[Bound], target: Target, resolver: Resolver) -> Lock:
    """The lock of `profile` for `target`, from nothing but its inputs and the indexes.

    Raises ResolutionError, IndexUnavailableError or ProfileError.
    """
    profile = profile.for_target(target)
    query, packages = query_for(profile, bounds, target), workspace.packages(profile.index_urls)
    _check_offered(profile, target, packages.client)
    model = _lock_model(profile, query, packages, workspace.hub) if profile.base(target) else None
    # Chosen by version, not resolved: the exact uv that the profile names.
    name, _, version = profile.installer.partition("==") if profile.base(target) else ("", "", "")
    asked = [*(canonicalize_name(Requirement(text).name) for text in profile.requirements), *filter(None, [name])]
    packages.client.prefetch([(query.index_of(package), package) for package in asked])
    chosen = choose_wheels(query, resolver.resolve(query), packages)
    installer = choose_wheel(query, (name, version), packages) if name else None
    _check_exact(profile, target, [entry.wheel.name for entry in chosen])
    if any(entry.wheel.name == profile.name for entry in chosen):
        problem = "has the name of a package that it locks, so that a lock could not tell who asks for what"
        raise ProfileError(f"profiles/{profile.name}.toml", problem, hint=f"rename it, as in profiles/{profile.name}-env.toml")
    check_bounds(chosen, bounds, target)
    check_cuda(profile, chosen, target)
    demands = demands_of(profile.requirements, profile.name, chosen, target)
    from_parent = inherited(profile, demands)
    locked = tuple(
        Package(
            wheel=entry.wheel,
            layer=layer_of(entry.wheel.name, profile.layers, entry.wheel.name in from_parent),
            demands=demands[entry.wheel.name],
            bounds=bounds_of(entry.wheel.name, bounds),
        )
        for entry in chosen
    )
    if profile.base(target):
        check_sizes(((package.layer, package.wheel.size) for package in locked), f"profiles/{profile.name}.toml: {target.slug}")
    return replace(lock_without_packages(profile, bounds, target), installer=installer, packages=locked, model=model)


def _lock_model(profile: Profile, query: ResolveRequest, packages: Packages, hub: Hub) -> LockedModel | None:
    """The profile's model with its hashes, None where it has none. Raises ResolutionError or its kin, or ProfileError."""
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
    """Raises ProfileError for a revision that may move: the lock would depend on when it was made."""
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
    """Raises ResolutionError when the index for the profile's CUDA has not that torch: a resolver would only say "no versions"."""
    index = next((index for index in profile.indexes_for(target) if profile.cuda and index.name == index_name(profile.cuda)), None)
    if index is None:
        return
    torch = torch_of(profile, target)
    try:
        offered = versions_of(client.files(index.name, "torch"))
    except IndexRefusedError:
        offered = set()
    if torch not in offered:
        problem = f"no index has torch {torch} built for CUDA {profile.cuda}: {client.location(index.name)} has {_some(offered)}"
        raise ResolutionError(
            f"{target.slug}: cuda", problem, hint="choose another CUDA or another torch, as pytorch.org lists them together"
        )


def _some(versions: Collection[str]) -> str:
    newest = sorted(versions, key=Version, reverse=True)[:3]
    return f"{', '.join(newest)} as its newest" if newest else "no torch at all"


def lock_without_packages(profile: Profile, bounds: Sequence[Bound], target: Target) -> Lock:
    """The lock without its wheels: all that follows from its inputs alone."""
    profile = profile.for_target(target)
    base = profile.base(target)
    return Lock(
        profile=profile.name,
        description=profile.description,
        platform=target.platform,
        as_of=profile.as_of_instant(),
        inputs=_digest(profile, bounds, target),
        python=target.python_full,
        base=base,
        tiers=profile.tiers if base else (),
        layers=tuple(group.name for group in groups_for(profile.layers)),
        env=profile.env,
        indexes=tuple(LockedIndex(name=index.name, url=index.url, packages=index.packages) for index in profile.indexes_for(target)),
        installer=None,
        packages=(),
        cuda=profile.cuda,
        driver=profile.driver,
    )


def _digest(profile: Profile, bounds: Sequence[Bound], target: Target) -> str:
    left_out = ("origins", "pythons", "platforms", "indexes", "entries")
    return input_digest(
        {
            **{key: value for key, value in _set(profile).items() if key not in left_out},
            "indexes": [_set(index) for index in profile.indexes_for(target)],
            "base": profile.base(target),
            "bounds": [_set(bound) for bound in bounds],
            "target": asdict(target),
        }
    )


def _set(value: Profile | Index | Bound) -> dict[str, object]:
    """The fields that say something: one that is new and empty must not make every lock stale."""
    return {key: field for key, field in asdict(value).items() if field}
