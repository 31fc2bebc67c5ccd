"""A file for `docker buildx bake`, so that any builder which buildx knows can build what envgen builds, to the same digests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envgen.engine import BuildRequest
from envgen.engine.buildkit import output_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeTarget:
    """One image: its name in the file, the folder with its Dockerfile, and what is to be built.

    `cache` is the image that the builder's cache is kept in, empty for none; `push` says whether what was built is sent to its registry.
    """

    name: str
    folder: Path
    order: BuildRequest
    cache: str = ""
    push: bool = False


def bake_file(targets: Sequence[BakeTarget]) -> dict[str, object]:
    """What stands in docker-bake.json. Bake reads strings in JSON as templates, so what might be one is escaped."""
    named = {bake_name(target.name): _target(target) for target in targets}
    file = {"group": {"default": {"targets": list(named)}}, "target": named}
    escaped: dict[str, object] = _escaped(file)  # type: ignore[assignment]  # what is a mapping stays one
    return escaped


def bake_name(text: str) -> str:
    """`text` as a name that bake takes."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)


def _target(target: BakeTarget) -> dict[str, object]:
    order = target.order
    reference = f"type=registry,ref={target.cache}"
    cache = {"cache-from": [reference], "cache-to": [f"{reference},mode=max,compression={order.compression}"]} if target.cache else {}
    return {
        "context": str(target.folder),
        "contexts": {name: str(path) for name, path in order.contexts.items()},
        "args": dict(order.arguments),
        "labels": dict(order.labels),
        "tags": [order.tag],
        "platforms": [order.platform],
        "output": [f"{output_of(order)},push=true" if target.push else output_of(order)],
        "attest": ["type=provenance,disabled=true"],
        **cache,
    }


def _escaped(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return re.sub(r"([$%])\{", r"\1\1{", value) if isinstance(value, str) else value
