"""Two sets of locks compared: which locks there are, their facts, packages and layer groups; what is the same in many is told once."""

from collections.abc import Iterator, Mapping, Sequence

from envgen.lock import Lock
from envgen.lock.header import FACTS, HeaderField, changed_facts
from envgen.sources import Wheel
from envgen.trust.diff.changes import FactChange, LayerChange, LockComparison, Push, WholeLock
from envgen.trust.diff.operands import LockSide
from envgen.trust.diff.packages import package_changes
from envgen.trust.diff.pair import Pair
from envgen.trust.diff.places import LockId, group_by_place
from envgen.trust.diff.sizes import layer_sizes, push_of

INSTALLER, INPUTS = "installer", "inputs"


def compare_locks(before: LockSide, after: LockSide) -> LockComparison:
    """Everything that differs between two sides; two single locks are compared whatever their profiles and targets."""
    old, new = ({LockId(profile=lock.profile, target=lock.target.slug): lock for lock in side.locks} for side in (before, after))
    if before.single and after.single:
        pairs = [Pair(before=before.locks[0], after=after.locks[0])]
        old, new = {}, {}
    else:
        pairs = [Pair(before=old[place], after=new[place]) for place in sorted(old.keys() & new.keys())]
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


def _facts(pairs: Sequence[Pair]) -> tuple[FactChange, ...]:
    found = group_by_place((fact, pair.place) for pair in pairs for fact in facts_of(pair))
    order = (*FACTS, "profile", INSTALLER, INPUTS)
    return tuple(FactChange(fact=fact, places=found[fact]) for fact in sorted(found, key=lambda fact: (order.index(fact.name), fact.after)))


def facts_of(pair: Pair) -> Iterator[HeaderField]:
    """The facts that differ; where it is nothing that a lock says in words, that its inputs do."""
    before, after = pair.before, pair.after
    found = list(changed_facts(before, after))
    if before.profile != after.profile:
        found.append(HeaderField(name="profile", before=before.profile, after=after.profile))
    if before.installer != after.installer:
        found.append(HeaderField(name=INSTALLER, before=_installer(before.installer), after=_installer(after.installer)))
    yield from found
    if not found and before.packages == after.packages and before.inputs != after.inputs:
        # Which of them, a lock does not say: it has their digest.
        yield HeaderField(name=INPUTS, before="those there were", after="others that give the same")


def _installer(wheel: Wheel | None) -> str:
    return f"{wheel.name} {wheel.version} (sha256 {wheel.sha256[:12]})" if wheel else "none"
