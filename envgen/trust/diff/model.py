"""The differences between two sets of locks: changes, and the locks in which each occurs."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from envgen.lock import Lock, Package
from envgen.lock.header import HeaderField

T = TypeVar("T", bound=Hashable)

NO_REASON = "no reason found in the locks"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LockId:
    """One lock, by profile and target; if two different ones were compared, both names with ` -> ` between them."""

    profile: str
    target: str


Places = tuple[LockId, ...]


class ChangeKind(StrEnum):
    """What happened to a package, in the order of reports.

    Another version, another file of the same version, added or removed, another layer group, or only other requirements and documented
    bounds.
    """

    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    REPLACED = "replaced"
    ADDED = "added"
    REMOVED = "removed"
    REGROUPED = "regrouped"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened to a package, and its versions (empty if it was absent)."""

    kind: ChangeKind
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a package changed, and in which locks."""

    text: str
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """A change that is the same in several locks, with every reason found in them."""

    change: Change
    reasons: tuple[Reason, ...]
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChange:
    """A fact that differs in the same way in several locks."""

    fact: HeaderField
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """A layer group of a lock: the bytes of its wheels on either side, and whether its layer changes."""

    name: str
    before: int
    after: int
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """A layer group with the same sizes in several locks."""

    layer: LayerSize
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """An upper bound of a push: the bytes of the wheels in changed layer groups, and of all wheels.

    The layers themselves are compressed again, so their sizes differ.
    """

    changed: int
    total: int
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLock:
    """A lock on only one side: the number of its wheels, and their bytes."""

    wheels: int
    bytes: int
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class LockComparison:
    """Two sets of locks. `compared` are the locks on both sides, `same` those without differences.

    `pushes` has each lock that differs and has an image.
    """

    before: str
    after: str
    compared: Places
    same: Places
    added: tuple[WholeLock, ...]
    removed: tuple[WholeLock, ...]
    facts: tuple[FactChange, ...]
    packages: tuple[PackageChange, ...]
    layers: tuple[LayerChange, ...]
    pushes: tuple[Push, ...]

    @property
    def different(self) -> bool:
        return len(self.same) < len(self.compared) or bool(self.added or self.removed)


def group_by_place(found: Iterable[tuple[T, LockId]]) -> dict[T, Places]:
    """Groups equal things, each with all locks in which it was found, in order."""
    gathered: dict[T, set[LockId]] = {}
    for thing, place in found:
        gathered.setdefault(thing, set()).add(place)
    return {thing: tuple(sorted(places)) for thing, places in gathered.items()}


def where(places: Sequence[LockId], everywhere: Sequence[LockId]) -> str:
    """`places` as text, as in `cuda: all 6; cpu-base: py311-linux-amd64`; `everywhere` are all locks that were compared."""
    if set(places) == set(everywhere):
        return f"all {len(places)} locks" if len(places) > 1 else f"{places[0].profile} {places[0].target}"
    return "; ".join(_in_profile(profile, places, everywhere) for profile in sorted({place.profile for place in places}))


def _in_profile(profile: str, places: Sequence[LockId], everywhere: Sequence[LockId]) -> str:
    here = [place.target for place in places if place.profile == profile]
    there = [place.target for place in everywhere if place.profile == profile]
    whole = len(here) > 1 and set(here) == set(there)
    return f"{profile}: {f'all {len(here)}' if whole else ', '.join(here)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPair:
    """Two locks to compare; usually, but not always, of one profile and target."""

    before: Lock
    after: Lock

    @property
    def place(self) -> LockId:
        before, after = self.before, self.after
        return LockId(profile=_one_or_both(before.profile, after.profile), target=_one_or_both(before.target.slug, after.target.slug))


def _one_or_both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def requirements_of(package: Package, lock: Lock) -> dict[str, tuple[str, ...]]:
    """The requirements of a package in `lock`, by the package that requires it; an empty string stands for the profile."""
    found: dict[str, tuple[str, ...]] = {}
    for demand in package.demands:
        name = "" if demand.name == lock.profile else demand.name
        found[name] = (*found.get(name, ()), demand.requirement)
    return found
