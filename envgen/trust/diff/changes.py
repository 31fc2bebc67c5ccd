"""What can be different between two sets of locks, as values."""

from dataclasses import dataclass

from envgen.lock.header import HeaderField
from envgen.trust.diff.places import Places

ADDED, REMOVED, UPGRADED, DOWNGRADED, REPLACED, REGROUPED, EVIDENCE = (
    "added",
    "removed",
    "upgraded",
    "downgraded",
    "replaced",
    "regrouped",
    "evidence",
)
KINDS = (UPGRADED, DOWNGRADED, REPLACED, ADDED, REMOVED, REGROUPED, EVIDENCE)
"""In the order they are told: another version, another file of the same version, there or not, another layer group, or nothing
but who asks for it and which documented bounds hold it."""

NO_REASON = "no reason found in the locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened to a package: its versions (empty: it was not there), one of KINDS."""

    kind: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why, and for which of the places of the change."""

    text: str
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """The same change in all of its places, with every reason that the locks give for it."""

    change: Change
    reasons: tuple[Reason, ...]
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChange:
    """The same fact that differs in the same way in all of its places."""

    fact: HeaderField
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """A layer group of a lock: the bytes of its wheels on either side, and whether its layer is another one."""

    name: str
    before: int
    after: int
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """The same sizes of a layer group in all of its places."""

    layer: LayerSize
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What pushing an image anew sends at most: the bytes of the wheels in layer groups that change, out of those of all its wheels.

    The layers themselves are compressed anew, and their bytes are others.
    """

    changed: int
    total: int
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLock:
    """A lock that only one side has: how many wheels it has, and their bytes."""

    wheels: int
    bytes: int
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class LockComparison:
    """Two sets of locks. `compared` are the places that both have, `same` those of them where nothing differs.

    `pushes` tells of each place that differs and has an image.
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
