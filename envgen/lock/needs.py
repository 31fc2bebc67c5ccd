"""What locks need, each thing once, and what of it is not here. Prints nothing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from envgen.core.errors import BuildError
from envgen.lock.model import Lock
from envgen.sources.wheel import Wheel
from envgen.sources.wheel_store import WheelStore


def wheels_of(locks: Sequence[Lock]) -> tuple[Wheel, ...]:
    """Every wheel of `locks` with their installers, by its file name; one that several need is there once."""
    found = {(wheel.file, wheel.sha256): wheel for lock in locks for wheel in lock.fetched}
    return tuple(found[key] for key in sorted(found))


def bases_of(locks: Sequence[Lock]) -> tuple[tuple[str, str], ...]:
    """The locked base and the platform of every image, each pair once."""
    return tuple(sorted({(lock.base, lock.platform) for lock in locks if lock.base}))


def by_indexes(locks: Sequence[Lock], wheels: Sequence[Wheel]) -> Iterator[tuple[Mapping[str, str], list[Wheel]]]:
    """`wheels` by the URLs of the indexes of their lock: two profiles may give different indexes the same name."""
    left = {(wheel.file, wheel.sha256) for wheel in wheels}
    groups: defaultdict[tuple[tuple[str, str], ...], list[Wheel]] = defaultdict(list)
    for lock in locks:
        urls = tuple((index.name, index.url) for index in lock.indexes)
        for wheel in lock.fetched:
            if (wheel.file, wheel.sha256) in left:
                left.remove((wheel.file, wheel.sha256))
                groups[urls].append(wheel)
    for urls, group in groups.items():
        yield dict(urls), group


def require_cached(store: WheelStore, locks: Sequence[Lock]) -> None:
    """Raises BuildError, with all of them, when wheels are missing in the store."""
    missing = store.missing(wheels_of(locks))
    if missing:
        files = "\n".join(wheel.file for wheel in missing)
        hint = f"with a network: {fetch_command(locks)}; from an archive: envgen store import FILE"
        raise BuildError("wheel store", f"missing, {len(missing)} of {len(wheels_of(locks))} wheels:\n{files}", hint=hint)


def fetch_command(locks: Sequence[Lock]) -> str:
    """The command that brings all that `locks` need."""
    return f"envgen fetch {' '.join(dict.fromkeys(lock.profile for lock in locks))}"
