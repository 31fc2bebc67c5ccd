"""The size of an image by layer group, and how much of it a push would send to a registry that has an earlier image."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from envgen.core.errors import BuildError
from envgen.core.text import human_size
from envgen.engine.interface import Blob
from envgen.lock import Lock
from envgen.profiles.layer_groups import LIMIT

BASE, SKELETON = "base", "skeleton"

EMPTY = "workdir"
"""The empty layer that WORKDIR makes."""

LayerLike = TypeVar("LayerLike")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSize:
    """A layer group in an image: its digest, its compressed size in bytes, and how many of these bytes a push would send.

    `base` stands for all layers of the base and has no digest.
    """

    name: str
    digest: str
    size: int
    push: int


def own_layers(lock: Lock) -> tuple[str, ...]:
    """The names of the layers that the Dockerfile of `lock` adds to its base, in order."""
    return (SKELETON, EMPTY, *lock.groups)


def own_blobs(lock: Lock, blobs: Sequence[LayerLike]) -> dict[str, LayerLike]:
    """The layers that `lock` adds to its base, by group and in order, from all layers of the image; the skeleton comes first.

    Layers may be given as blobs, as diff IDs, or as anything else. The empty layer is left out.
    """
    names = own_layers(lock)
    own = dict(zip(names, blobs[-len(names) :], strict=True))
    del own[EMPTY]
    return own


def group_sizes(lock: Lock, blobs: Sequence[Blob], pushed: Collection[str]) -> tuple[GroupSize, ...]:
    """The size of each layer group; `pushed` are the digests of the blobs that a registry already has.

    Raises BuildError for a layer too large for some registries.
    """
    own = own_blobs(lock, blobs)
    below = blobs[: -len(own) - 1]
    groups = [GroupSize(name=BASE, digest="", size=_total(below), push=_total([blob for blob in below if blob.digest not in pushed]))]
    for name, blob in own.items():
        if blob.size > LIMIT:
            problem = f"{human_size(blob.size)} compressed, expected at most {LIMIT / 1e9:.0f} GB: some registries reject larger layers"
            raise BuildError(f"layer {name}", problem, hint="split the group: [layers] in the profile")
        groups.append(GroupSize(name=name, digest=blob.digest, size=blob.size, push=0 if blob.digest in pushed else blob.size))
    return tuple(groups)


def _total(blobs: Sequence[Blob]) -> int:
    return sum(blob.size for blob in blobs)
