"""Checks a lock, made from the metadata that indexes serve, against that in the wheels, which takes precedence."""

from collections.abc import Iterator, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import ResolutionError, VerificationError
from envgen.core.requirements import marker_holds, read_needs
from envgen.lock.model import Lock, Package
from envgen.sources import Wheel, WheelStore


def check_arrived(lock: Lock, arrived: Sequence[Wheel], store: WheelStore) -> None:
    """Raises VerificationError if a wheel in `arrived` requires something missing from `lock`.

    The wheel is removed from the store but its metadata stays, so fetching it again fails again, and the next lock uses it.
    """
    fresh = {wheel.sha256 for wheel in arrived}
    for package in lock.packages:
        if package.wheel.sha256 in fresh:
            content = store.metadata_of(package.wheel)
            unmet = [str(requirement) for requirement in _unmet(lock, package, content)]
            if unmet:
                store.keep_metadata(package.wheel.sha256, content)
                store.path(package.wheel.sha256, package.wheel.file).unlink()
                problem = f"requires {', '.join(unmet)} by its own metadata, which the lock does not have: "
                problem += f"the index {package.wheel.index} says something else beside it, and the wheel counts"
                hint = f"lock again, with the resolver that is shown the wheel's own: envgen lock {lock.profile} --resolver pip-tools"
                raise VerificationError(package.wheel.file, problem, hint=hint)


def _unmet(lock: Lock, package: Package, metadata: bytes) -> Iterator[Requirement]:
    """The requirements of `package` on the lock's target that the lock does not meet."""
    extras = {"", *(extra for demand in package.demands for extra in demand.extras)}
    try:
        requires = read_needs(metadata, package.wheel.file, package.wheel.index).requires
    except ResolutionError:
        return  # unreadable metadata: the lock was made by another version of envgen
    for requirement in requires:
        locked = lock.package(canonicalize_name(requirement.name))
        met = locked is not None and requirement.specifier.contains(locked.wheel.version, prereleases=True)
        if not met and _is_meant(requirement, lock, extras):
            yield requirement


def _is_meant(requirement: Requirement, lock: Lock, extras: set[str]) -> bool:
    try:
        return any(marker_holds(requirement, {**lock.target.markers(), "extra": extra}) for extra in extras)
    except InvalidRequirement:
        return False
