"""The size of each layer group in two locks, as bytes of wheels: a layer is about as large, compressed, as its wheels are."""

from collections.abc import Iterator

from envgen.sources import Wheel
from envgen.trust.diff.changes import LayerSize
from envgen.trust.diff.pair import Pair


def layer_sizes(pair: Pair) -> Iterator[LayerSize]:
    """Each layer group with wheels on either side, in the order of the image's layers.

    A layer is another one when its wheels are, or the exact Python that its byte code is for.
    """
    before, after = pair.before.groups, pair.after.groups
    for name in {**after, **before}:
        old, new = before.get(name, ()), after.get(name, ())
        changed = _hashes(old) != _hashes(new) or pair.before.python != pair.after.python
        yield LayerSize(name=name, before=_total(old), after=_total(new), changed=changed)


def push_of(pair: Pair) -> tuple[int, int] | None:
    """The bytes of the wheels in groups that change, and of all wheels; None where no image is built."""
    if not pair.after.base:
        return None
    sizes = tuple(layer_sizes(pair))
    return sum(size.after for size in sizes if size.changed), sum(size.after for size in sizes)


def _hashes(wheels: tuple[Wheel, ...]) -> frozenset[str]:
    return frozenset(wheel.sha256 for wheel in wheels)


def _total(wheels: tuple[Wheel, ...]) -> int:
    return sum(wheel.size for wheel in wheels)
