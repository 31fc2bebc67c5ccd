"""Layer groups: wheels that change together share one layer, so that a bump re-pushes only what it touches."""

from collections import Counter
from collections.abc import Iterable, Sequence

from envgen.core.errors import ProfileError
from envgen.core.text import human_size
from envgen.profiles.model import LayerGroup

REST = "libraries"
"""The group of everything that no other group names."""

OWN = "own"
"""The group of what a profile adds to the one it extends."""

LIMIT = 5_000_000_000
"""Bytes of a compressed layer: some registries refuse layers of 10 GB, and none can be sent in parts."""

DEFAULT_LAYERS = (
    LayerGroup(name="cuda", packages=("nvidia-*", "triton", "cuda-*")),
    LayerGroup(name="torch", packages=("torch", "torchvision", "torchaudio")),
    LayerGroup(name=REST, packages=()),
    LayerGroup(
        name="hugging-face",
        packages=("transformers", "tokenizers", "safetensors", "huggingface-hub", "hf-xet", "accelerate", "datasets", "peft"),
    ),
    LayerGroup(name=OWN, packages=()),
)
"""From what changes least to what changes most; a profile's own groups come before all of these."""


def groups_for(layers: Sequence[LayerGroup]) -> tuple[LayerGroup, ...]:
    """The groups of a profile in the order of the image's layers; one with a default's name replaces it."""
    names = {layer.name for layer in layers}
    kept = tuple(layer for layer in DEFAULT_LAYERS if layer.name not in names)
    return (*layers, *kept)


def layer_of(package: str, layers: Sequence[LayerGroup], inherited: bool) -> str:
    """The group that `package` goes into: the first of the profile's own `layers` that names it, else a default one.

    What a profile adds to the one it extends goes into a layer of its own, so that all others stay shared.
    """
    for group in groups_for(layers) if inherited else layers:
        for pattern in group.packages:
            if package == pattern or (pattern.endswith("*") and package.startswith(pattern[:-1])):
                return group.name
    return REST if inherited else OWN


def check_sizes(sizes: Iterable[tuple[str, int]], where: str) -> None:
    """No layer may be too large for a registry; `sizes` are pairs of a group and the bytes of one wheel in it.

    A layer is about as large as its wheels. Raises ProfileError.
    """
    totals: Counter[str] = Counter()
    for group, size in sizes:
        totals[group] += size
    for group, total in totals.items():
        if total > LIMIT:
            problem = f"the wheels of the layer group {group} are {human_size(total)}, expected at most {LIMIT / 1e9:.0f} GB in one layer"
            raise ProfileError(where, problem, hint=f'divide it in the profile, as in [layers] with {group}-more = ["NAME"]')
