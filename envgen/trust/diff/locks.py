"""Compares two sets of locks: their headers, packages and layer groups; a change that is the same in many locks is listed once."""

from collections.abc import Iterator, Mapping, Sequence

from envgen.lock import Lock
from envgen.lock.header import FACTS, HeaderField, changed_facts
from envgen.sources import Wheel
from envgen.trust.diff.model import FactChange, LayerChange, LayerSize, LockComparison, LockId, LockPair, Push, WholeLock, group_by_place
from envgen.trust.diff.operands import LockSide
from envgen.trust.diff.packages import package_changes

INSTALLER, INPUTS, NOTICE = "installer", "inputs", "notice"


def compare_locks(before: LockSide, after: LockSide) -> LockComparison:
    """Everything that differs between two sides; two single locks are compared whatever their profiles and targets."""
    old, new = ({LockId(profile=lock.profile, target=lock.target.slug): lock for lock in side.locks} for side in (before, after))
    if before.single and after.single:
        pairs = [LockPair(before=before.locks[0], after=after.locks[0])]
        old, new = {}, {}
    else:
        pairs = [LockPair(before=old[place], after=new[place]) for place in sorted(old.keys() & new.keys())]
    different = [pair for pair in pairs if pair.before != pair.after]
    layers = group_by_place((size, pair.place) for pair in different for size in layer_sizes(pair))
    pushes = group_by_place((push, pair.place) for pair in different if (push := push_of(pair)))
    return LockComparison(
        before=before.label,
        after=after.label,
        compared=tuple(pair.place for pair in pairs),
        same=tuple(pair.place for pair in pairs if pair.before == pair.after),
        added=_whole({place: new[place] for place in new.keys() - old.keys()}),
        removed=_whole({place: old[place] for place in old.keys() - new.keys()}),
        facts=_facts(different),
        packages=package_changes(different),
        layers=tuple(LayerChange(layer=layer, places=places) for layer, places in layers.items()),
        pushes=tuple(Push(changed=changed, total=total, places=places) for (changed, total), places in pushes.items()),
    )


def _whole(locks: Mapping[LockId, Lock]) -> tuple[WholeLock, ...]:
    return tuple(
        WholeLock(wheels=len(lock.wheels), bytes=sum(wheel.size for wheel in lock.wheels), places=(place,))
        for place, lock in sorted(locks.items())
    )


def _facts(pairs: Sequence[LockPair]) -> tuple[FactChange, ...]:
    changes = group_by_place((fact, pair.place) for pair in pairs for fact in facts_of(pair))
    order = (*FACTS, "profile", INSTALLER, NOTICE, INPUTS)
    return tuple(
        FactChange(fact=fact, places=changes[fact]) for fact in sorted(changes, key=lambda fact: (order.index(fact.name), fact.after))
    )


def facts_of(pair: LockPair) -> Iterator[HeaderField]:
    """The facts that differ, or the digest of the inputs if only that differs."""
    before, after = pair.before, pair.after
    changes = list(changed_facts(before, after))
    if before.profile != after.profile:
        changes.append(HeaderField(name="profile", before=before.profile, after=after.profile))
    if before.installer != after.installer:
        changes.append(HeaderField(name=INSTALLER, before=_installer(before.installer), after=_installer(after.installer)))
    changes += [HeaderField(name=NOTICE, before="none", after=str(notice)) for notice in after.notices if notice not in before.notices]
    changes += [HeaderField(name=NOTICE, before=str(notice), after="none") for notice in before.notices if notice not in after.notices]
    yield from changes
    if not changes and before.packages == after.packages and before.inputs != after.inputs:
        # A lock has only a digest of its inputs, so it is unknown which ones changed.
        yield HeaderField(name=INPUTS, before="the old ones", after="others with the same result")


def _installer(wheel: Wheel | None) -> str:
    return f"{wheel.name} {wheel.version} (sha256 {wheel.sha256[:12]})" if wheel else "none"


def layer_sizes(pair: LockPair) -> Iterator[LayerSize]:
    """Each layer group with wheels on either side, in the order of the image's layers.

    A layer changes with its wheels, and with the full Python version of its byte code.
    """
    before, after = pair.before.groups, pair.after.groups
    for name in {**after, **before}:
        old, new = before.get(name, ()), after.get(name, ())
        changed = _hashes(old) != _hashes(new) or pair.before.python != pair.after.python
        yield LayerSize(name=name, before=_total(old), after=_total(new), changed=changed)


def push_of(pair: LockPair) -> tuple[int, int] | None:
    """The bytes of the wheels in groups that change, and of all wheels; None if there is no image."""
    if not pair.after.base:
        return None
    sizes = tuple(layer_sizes(pair))
    return sum(size.after for size in sizes if size.changed), sum(size.after for size in sizes)


def _hashes(wheels: tuple[Wheel, ...]) -> frozenset[str]:
    return frozenset(wheel.sha256 for wheel in wheels)


def _total(wheels: tuple[Wheel, ...]) -> int:
    return sum(wheel.size for wheel in wheels)
