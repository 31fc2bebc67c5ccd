"""Layer groups: wheels that change together share a layer, to keep pushes small."""

from collections import Counter
from collections.abc import Iterable, Sequence

from envgen.core.errors import ProfileError
from envgen.core.text import human_size
from envgen.profiles.model import LayerGroup

REST = "libraries"
"""The group of all packages not in another group."""

OWN = "own"
"""The group of packages a profile adds to the one it extends."""

LIMIT = 5_000_000_000
"""The largest compressed layer in bytes; some registries refuse 10 GB, and a layer can't be split."""

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
"""Ordered from least to most often changed; a profile's own groups come first."""


def groups_for(layers: Sequence[LayerGroup]) -> tuple[LayerGroup, ...]:
    """The groups of a profile in layer order; one with the name of a default replaces it."""
    names = {layer.name for layer in layers}
    defaults = tuple(layer for layer in DEFAULT_LAYERS if layer.name not in names)
    return (*layers, *defaults)


def layer_of(package: str, layers: Sequence[LayerGroup], inherited: bool) -> str:
    """The group of `package`: the first of the profile's `layers` that matches it, or a default one.

    Packages that a profile adds to the one it extends go into a separate layer, to keep the others shared.
    """
    for group in groups_for(layers) if inherited else layers:
        for pattern in group.packages:
            if package == pattern or (pattern.endswith("*") and package.startswith(pattern[:-1])):
                return group.name
    return REST if inherited else OWN


def check_sizes(sizes: Iterable[tuple[str, int]], where: str) -> None:
    """Check that no layer is too large for a registry; `sizes` are pairs of group and wheel size in bytes.

    A layer is about as large as its wheels. Raises ProfileError.
    """
    totals: Counter[str] = Counter()
    for group, size in sizes:
        totals[group] += size
    for group, total in totals.items():
        if total > LIMIT:
            problem = f"the wheels of the layer group {group} are {human_size(total)}, expected at most {LIMIT / 1e9:.0f} GB in one layer"
            raise ProfileError(where, problem, hint=f'divide it in the profile, as in [layers] with {group}-more = ["NAME"]')
