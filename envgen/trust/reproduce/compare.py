"""Compares two images: which layers differ, which files in them and how, and their configurations key by key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from envgen.oci import Archive, Difference, ImageDocuments, Layer
from envgen.oci.entries import entry_differences, read_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImage:
    """An image in an open archive."""

    archive: Archive
    image: ImageDocuments


LayerPair = tuple[Layer | None, Layer | None]
"""Corresponding layers of two images; None where one has no such layer."""


def compare_images(first: OpenImage, second: OpenImage, names: Sequence[str]) -> tuple[Difference, ...]:
    """The differences between two images; none if they have the same digest. `names` are the names of the first one's layers.

    Every layer of both is read and checked. Raises VerificationError for a corrupt archive.
    """
    found: list[Difference] = []
    same = first.image.digest == second.image.digest
    for name, pair in () if same else zip_names(pairs(first.image.layers, second.image.layers), names):
        found += _layer_differences(name, pair, first, second)
    for side in (first, second):
        side.archive.verify(side.image)
    if same:
        return ()
    found += _document_differences("configuration", _without(first.image.config, "rootfs"), _without(second.image.config, "rootfs"))
    ours, others = (_without(side.image.manifest, "layers", "config") for side in (first, second))
    found += _document_differences("manifest", ours, others)
    # The same JSON may be formatted differently.
    return tuple(found) or (Difference(layer="", path="configuration", what="the same values, written differently"),)


def pairs(first: Sequence[Layer], second: Sequence[Layer]) -> list[LayerPair]:
    """Pairs the layers of two images so that as many equal ones as possible are together.

    Other layers are paired from the end: a profile's layers are on top of its base, which may have any number of layers.
    """
    matcher = SequenceMatcher(None, [layer.diff_id for layer in first], [layer.diff_id for layer in second], autojunk=False)
    found: list[LayerPair] = []
    for _, start, end, other_start, other_end in matcher.get_opcodes():
        mine, others = list(first[start:end]), list(second[other_start:other_end])
        length = max(len(mine), len(others))
        padded: list[list[Layer | None]] = [[*[None] * (length - len(layers)), *layers] for layers in (mine, others)]
        found += zip(*padded, strict=True)
    return found


def zip_names(found: Sequence[LayerPair], names: Sequence[str]) -> Iterator[tuple[str, LayerPair]]:
    """Each pair with the name of its first layer, or with its position if only the second image has it."""
    known, place = iter(names), 0
    for pair in found:
        place += pair[1] is not None
        yield (next(known) if pair[0] else f"layer {place} of the second"), pair


def _layer_differences(name: str, pair: LayerPair, first: OpenImage, second: OpenImage) -> Iterator[Difference]:
    mine, other = pair
    if mine is None or other is None:
        what = "only in the second" if mine is None else "only in the first"
        yield Difference(layer=name, path="", what=what, first=mine.diff_id if mine else "", second=other.diff_id if other else "")
    elif mine.diff_id != other.diff_id:
        entries = tuple(entry_differences(name, read_entries(first.archive, mine), read_entries(second.archive, other)))
        what = "the same files, written differently into the tar file"
        yield from entries or (Difference(layer=name, path="", what=what, first=mine.diff_id, second=other.diff_id),)
    elif mine.digest != other.digest:
        yield Difference(layer=name, path="", what="compression only", first=_packed(mine), second=_packed(other))
    elif mine.media_type != other.media_type:
        yield Difference(layer=name, path="", what="media type only", first=mine.media_type, second=other.media_type)


def _packed(layer: Layer) -> str:
    return f"{compression_of(layer)}, {layer.size} bytes, {layer.digest}"


def compression_of(layer: Layer) -> str:
    """`zstd`, `gzip` or `none`, from the media type."""
    return next((name for name in ("zstd", "gzip") if layer.media_type.endswith(name)), "none")


def _without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def _document_differences(title: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    """The keys of two JSON documents that differ."""
    mine, other = dict(_leaves(first, "")), dict(_leaves(second, ""))
    for key in dict.fromkeys((*mine, *other)):
        if mine.get(key) != other.get(key):
            yield Difference(layer="", path=title, what=key, first=mine.get(key, ""), second=other.get(key, ""))


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every leaf of a JSON document with its path; environment variables are listed by name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and path.endswith("config.Env"):
        for entry in value:
            name, _, text = str(entry).partition("=")
            yield f"{path}.{name}", text
        yield f"{path}, in order", " ".join(str(entry).partition("=")[0] for entry in value)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{position}]")
    else:
        yield path, str(value)
