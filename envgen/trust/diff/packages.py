"""The packages of two locks: what happened to each, and why."""

from collections.abc import Iterator, Sequence

from packaging.version import InvalidVersion, Version

from envgen.lock import Package
from envgen.trust.diff.model import NO_REASON, Change, ChangeKind, LockPair, PackageChange, Reason, group_by_place
from envgen.trust.diff.reasons import changed_evidence, why_added, why_moved, why_regrouped, why_removed


def package_changes(pairs: Sequence[LockPair]) -> tuple[PackageChange, ...]:
    """Every change of a package between the locks of each pair; equal changes are merged."""
    found = [(change, reason, pair.place) for pair in pairs for change, reasons in changes_of(pair) for reason in reasons]
    places = group_by_place((change, place) for change, _, place in found)
    reasons = group_by_place(((change, reason), place) for change, reason, place in found)
    return tuple(
        PackageChange(
            change=change,
            reasons=tuple(Reason(text=text, places=these) for (of, text), these in reasons.items() if of == change),
            places=places[change],
        )
        for change in sorted(places, key=lambda change: (list(ChangeKind).index(change.kind), change.name, change.before, change.after))
    )


def changes_of(pair: LockPair) -> Iterator[tuple[Change, tuple[str, ...]]]:
    """What happened to each package that differs between the locks of `pair`, with at least one reason."""
    before, after = ({package.wheel.name: package for package in lock.packages} for lock in (pair.before, pair.after))
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            change = Change(kind=_kind(old, new), name=name, before=_version(old), after=_version(new))
            yield change, tuple(_reasons(pair, change.kind, old, new)) or (NO_REASON,)


def _version(package: Package | None) -> str:
    return package.wheel.version if package else ""


def _kind(old: Package | None, new: Package | None) -> ChangeKind:
    if old is None or new is None or old.wheel.version != new.wheel.version:
        return kind_of(_version(old), _version(new))
    if (old.wheel.file, old.wheel.sha256, old.wheel.index) != (new.wheel.file, new.wheel.sha256, new.wheel.index):
        return ChangeKind.REPLACED
    return ChangeKind.REGROUPED if old.layer != new.layer else ChangeKind.EVIDENCE


def kind_of(before: str, after: str) -> ChangeKind:
    """What happened between two different versions; an empty one means that the package was absent."""
    if not before or not after:
        return ChangeKind.REMOVED if before else ChangeKind.ADDED
    try:
        return ChangeKind.UPGRADED if Version(before) < Version(after) else ChangeKind.DOWNGRADED
    except InvalidVersion:
        # Invalid versions, which an image may have, can't be ordered.
        return ChangeKind.UPGRADED


def _reasons(pair: LockPair, kind: ChangeKind, old: Package | None, new: Package | None) -> Iterator[str]:
    if new and kind == ChangeKind.ADDED:
        yield from why_added(pair, new)
    elif old and kind == ChangeKind.REMOVED:
        yield from why_removed(pair, old)
    elif old and new and kind == ChangeKind.REGROUPED:
        yield from why_regrouped(old, new)
    elif old and new and kind == ChangeKind.EVIDENCE:
        yield from changed_evidence(pair, old, new)
    elif old and new:
        yield from why_moved(pair, old, new)
