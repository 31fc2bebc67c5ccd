"""Sorts the layers of an image by origin: the base's, the Dockerfile's, and any extra ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from envgen.image.layers import EMPTY
from envgen.oci import ImageDocuments, LayerEntry
from envgen.oci.stack_entries import FOLDER
from envgen.trust.audit.report import BASE, LAYERS, AuditFinding
from envgen.trust.audit.rules import ROOT, folders_above

Entries = tuple[LayerEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStack:
    """All layers, lowest first: `base` are those of the base, `own` those of the Dockerfile by name, `extra` those on top.

    `labels` are the names of the layers in findings, by position in the image.
    """

    base: tuple[Entries, ...]
    own: Mapping[str, Entries]
    extra: tuple[Entries, ...]
    labels: tuple[str, ...]

    def label(self, name: str) -> str:
        """The name in findings of the Dockerfile's layer `name`."""
        return self.labels[len(self.base) + list(self.own).index(name)]


def make_stack(documents: ImageDocuments, layers: Sequence[Entries], base: ImageDocuments | None, names: Sequence[str]) -> LayerStack:
    """The layers of the image `documents` on `base`, if that is available; `names` are those that the Dockerfile makes."""
    first = next((position for position, entries in enumerate(layers) if any(map(is_inside, entries))), len(layers))
    start = len(base.layers) if base and same_base(documents, base) else first
    own = dict(zip(names, layers[start:], strict=False))
    called = ["base"] * start + list(own)
    labels = [f"{position} ({name})" for position, name in enumerate(called, 1)]
    more = documents.layers[len(called) :]
    labels += [f"{position} ({layer.digest[:19]})" for position, layer in enumerate(more, len(called) + 1)]
    return LayerStack(base=tuple(layers[:start]), own=own, extra=tuple(layers[len(called) :]), labels=tuple(labels))


def is_inside(entry: LayerEntry) -> bool:
    """Whether an entry is the environment's folder or in it."""
    return entry.path == ROOT or entry.path.startswith(f"{ROOT}/")


def same_base(documents: ImageDocuments, base: ImageDocuments) -> bool:
    """Whether the image `documents` is built on `base`, with at least one more layer."""
    found, expected = ([layer.diff_id for layer in image.layers] for image in (documents, base))
    return len(found) > len(expected) and found[: len(expected)] == expected


def compare_base(documents: ImageDocuments, stack: LayerStack, base: ImageDocuments | None, reference: str) -> Iterator[AuditFinding]:
    """Findings for layers that differ from the base's, if that is available, and for files of the base in the environment's folder."""
    if base and not same_base(documents, base):
        found = documents.layers
        for position, layer in enumerate(base.layers):
            actual = found[position].diff_id if position < len(found) else "missing"
            if actual != layer.diff_id:
                problem = f"is {actual[:19]} unpacked (expected {layer.diff_id[:19]}, of the base {reference} at {base.digest[:19]})"
                yield AuditFinding(part=BASE, layer=str(position + 1), problem=problem)
        if len(found) <= len(base.layers):
            yield AuditFinding(part=BASE, problem=f"the image has no layer on top of the base {reference}")
    for position, entries in enumerate(stack.base):
        for entry in filter(is_inside, entries):
            problem = f"{entry}, which the base has in the environment's folder"
            yield AuditFinding(part=BASE, layer=stack.labels[position], path=entry.path, problem=problem)


def compare_layers(stack: LayerStack, names: Sequence[str]) -> Iterator[AuditFinding]:
    """Findings for missing layers of the Dockerfile, and for everything in extra layers."""
    for name in names:
        if name not in stack.own:
            yield AuditFinding(part=LAYERS, layer=name, problem="missing")
    for entry in stack.own.get(EMPTY, ()):
        yield AuditFinding(part=LAYERS, layer=stack.label(EMPTY), path=entry.path, problem=f"{entry}, in a layer that must be empty")
    below = len(stack.base) + len(stack.own)
    for label, entries in zip(stack.labels[below:], stack.extra, strict=True):
        on_the_way = folders_above([entry.path for entry in entries])
        unexpected = [entry for entry in entries if entry.kind != FOLDER or entry.path not in on_the_way]
        for entry in unexpected:
            yield AuditFinding(part=LAYERS, layer=label, path=entry.path, problem=f"{entry}, in a layer that the Dockerfile does not make")
        if not unexpected:
            yield AuditFinding(part=LAYERS, layer=label, problem="an empty layer that the Dockerfile does not make")
