"""What a profile is at a glance: its targets and their locks, its bounds on the driver, and its layers. Runs nothing, fetches nothing."""

from dataclasses import dataclass

from envgen.core.errors import StaleLockError
from envgen.core.target import Target
from envgen.lock import Lock, project
from envgen.profiles import Profile
from envgen.sources.models import EMBEDDED
from envgen.workspace import Workspace

LOCKED, STALE, NOT_LOCKED = "locked", "stale", "not locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """One target: its base (empty: lock only), whether its lock is up to date, and that lock's wheels and their bytes."""

    target: str
    python: str
    base: str
    state: str
    wheels: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """One layer group of a lock: how many wheels it has, and their bytes together."""

    name: str
    wheels: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A profile; `layers` are those of the lock for `target`, and none where that is not locked or stale.

    `origins` has the file that set each value, by the value's path in TOML, such as `env.HF_HOME`.
    """

    profile: str
    description: str
    as_of: str
    cuda: str
    driver: str
    indexes: tuple[tuple[str, str, tuple[str, ...]], ...]
    tiers: tuple[str, ...]
    model: str
    env: tuple[tuple[str, str], ...]
    targets: tuple[TargetState, ...]
    target: str
    layers: tuple[LayerSummary, ...]
    origins: tuple[tuple[str, str], ...]


def overview(workspace: Workspace, profile: Profile, slug: str) -> Overview:
    """What there is to say of `profile`, with the layers of the target `slug` (empty: the first with a base, or the first).

    Raises UsageError for a target that it has not.
    """
    targets = profile.targets()
    chosen = _chosen(profile, slug)
    locks = {target: _lock(workspace, profile, target) for target in targets}
    lock = locks[chosen]
    return Overview(
        profile=profile.name,
        description=profile.description,
        as_of=f"{profile.as_of_instant():%Y-%m-%dT%H:%M:%SZ}",
        cuda=profile.cuda,
        driver=profile.driver,
        indexes=tuple((index.name, index.url, index.packages) for index in profile.indexes_for(chosen)),
        tiers=profile.tiers,
        model=profile.model or EMBEDDED,
        env=profile.env,
        targets=tuple(_state(profile, target, found) for target, found in locks.items()),
        target=chosen.slug,
        layers=_layers(lock) if isinstance(lock, Lock) else (),
        origins=_origins(profile),
    )


def _origins(profile: Profile) -> tuple[tuple[str, str], ...]:
    """The file of each single value, and of each table that was taken away; what is extended is no value."""
    paths = [path for path, _ in profile.origins]
    tables = {path for path in paths if any(other.startswith(f"{path}.") for other in paths)}
    return tuple((path, file) for path, file in profile.origins if path not in {*tables, "extends"})


def _chosen(profile: Profile, slug: str) -> Target:
    targets = profile.find_targets(slug)
    return next((target for target in targets if profile.base(target)), targets[0])


def _lock(workspace: Workspace, profile: Profile, target: Target) -> Lock | str:
    """The lock, or why there is none to speak of."""
    if workspace.project.find_lock_folder(profile.name, target) is None:
        return NOT_LOCKED
    try:
        return project.check_lock(workspace, profile, target)
    except StaleLockError:
        return STALE


def _state(profile: Profile, target: Target, lock: Lock | str) -> TargetState:
    base = profile.base(target)
    if isinstance(lock, str):
        return TargetState(target=target.slug, python=target.python_full, base=base, state=lock)
    total = sum(wheel.size for wheel in lock.wheels)
    return TargetState(target=target.slug, python=target.python_full, base=base, state=LOCKED, wheels=len(lock.wheels), bytes=total)


def _layers(lock: Lock) -> tuple[LayerSummary, ...]:
    """The groups that have wheels, in the order of the image's layers."""
    sizes = {name: [wheel.size for wheel in wheels] for name, wheels in lock.groups.items()}
    return tuple(LayerSummary(name=name, wheels=len(found), bytes=sum(found)) for name, found in sizes.items())
