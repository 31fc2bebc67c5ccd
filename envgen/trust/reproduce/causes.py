"""Likely causes of a difference between two images, from their labels and layers."""

from collections.abc import Iterator, Sequence

from envgen.lock import labels
from envgen.oci import ImageDocuments, Layer
from envgen.trust.reproduce.compare import compression_of

_LABELS = {
    labels.PROFILE: "is of another profile",
    labels.TARGET: "is for another target",
    labels.LOCK: "was built from another lock",
    labels.PYTHON: "has another Python",
    labels.BASE: "is on another base",
    labels.OVERRIDE: "has another base in place of the locked one",
}
"""The labels for what an image depends on, and what a difference means."""


def likely_causes(first: ImageDocuments, second: ImageDocuments, own: int) -> tuple[str, ...]:
    """The differences in what two images were built from, as text; empty if their labels and layers show none.

    The last `own` layers of each are not its base's.
    """
    if labels.LOCK not in second.labels:
        return ("the other image was not built from an envgen lock: it has no label envgen.lock",)
    causes = [*_labels(first, second), *_compressions(first.layers, second.layers)]
    if first.labels.get(labels.LOCK) == second.labels[labels.LOCK]:
        causes += _bases(first.layers[:-own], second.layers[:-own])
    return tuple(causes)


def _labels(first: ImageDocuments, second: ImageDocuments) -> Iterator[str]:
    for label, meaning in _LABELS.items():
        mine, other = (image.labels.get(label, "") for image in (first, second))
        if mine != other:
            yield f"the other image {meaning}: {other or 'none'}, this one: {mine or 'none'}"


def _compressions(first: Sequence[Layer], second: Sequence[Layer]) -> Iterator[str]:
    """Compares the compression of the uppermost layers, which are never the base's."""
    mine, other = ("".join(compression_of(layer) for layer in layers[-1:]) for layers in (first, second))
    if mine != other:
        yield f"the other image has {other or 'no'} layers, this one {mine}"


def _bases(first: Sequence[Layer], second: Sequence[Layer]) -> Iterator[str]:
    if [layer.diff_id for layer in first] != [layer.diff_id for layer in second]:
        yield "the other image's base has other layers: a tag alone does not identify a base"
    elif [layer.digest for layer in first] != [layer.digest for layer in second]:
        yield "the other image has its base's layers in another compression"
