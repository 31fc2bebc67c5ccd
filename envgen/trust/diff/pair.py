"""Two locks side by side, and who asks for a package in one of them."""

from dataclasses import dataclass

from envgen.lock import Lock, Package
from envgen.trust.diff.places import LockId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The lock there was and the lock there is; mostly of one profile and target, but of any two that are asked about."""

    before: Lock
    after: Lock

    @property
    def place(self) -> LockId:
        before, after = self.before, self.after
        return LockId(profile=_one_or_both(before.profile, after.profile), target=_one_or_both(before.target.slug, after.target.slug))


def _one_or_both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def requirements_of(package: Package, lock: Lock) -> dict[str, tuple[str, ...]]:
    """What is asked of a package of `lock`, by who asks; the profile, whatever its name, is the empty string."""
    found: dict[str, tuple[str, ...]] = {}
    for demand in package.demands:
        name = "" if demand.name == lock.profile else demand.name
        found[name] = (*found.get(name, ()), demand.requirement)
    return found
