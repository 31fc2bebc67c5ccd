"""Where a change happened: in which profiles, for which targets. What happened in many places is told once."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Told = TypeVar("Told", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LockId:
    """One lock, by profile and target; where two different ones were compared, both names with ` -> ` between."""

    profile: str
    target: str


Places = tuple[LockId, ...]


def group_by_place(found: Iterable[tuple[Told, LockId]]) -> dict[Told, Places]:
    """Equal things with all places where they were found, in order."""
    gathered: dict[Told, set[LockId]] = {}
    for thing, place in found:
        gathered.setdefault(thing, set()).add(place)
    return {thing: tuple(sorted(places)) for thing, places in gathered.items()}


def where(places: Sequence[LockId], everywhere: Sequence[LockId]) -> str:
    """`places` in words, `everywhere` being all that were compared; as in `cuda: all 6; cpu-base: py311-linux-amd64`."""
    if set(places) == set(everywhere):
        return f"all {len(places)} locks" if len(places) > 1 else f"{places[0].profile} {places[0].target}"
    return "; ".join(_in_profile(profile, places, everywhere) for profile in sorted({place.profile for place in places}))


def _in_profile(profile: str, places: Sequence[LockId], everywhere: Sequence[LockId]) -> str:
    here = [place.target for place in places if place.profile == profile]
    there = [place.target for place in everywhere if place.profile == profile]
    whole = len(here) > 1 and set(here) == set(there)
    return f"{profile}: {f'all {len(here)}' if whole else ', '.join(here)}"
