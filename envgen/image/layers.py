"""What an image weighs, layer group by layer group, and what a push of it would send to a registry that has an earlier one."""

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
"""The layer that WORKDIR makes, which has nothing in it."""

LayerLike = TypeVar("LayerLike")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSize:
    """A layer group in an image: its digest, its compressed size in bytes, and how many of these a push would send.

    `base` stands for all layers of the base, and has no digest of its own.
    """

    name: str
    digest: str
    size: int
    push: int


def own_layers(lock: Lock) -> tuple[str, ...]:
    """What the layers are called that the Dockerfile of `lock` puts on its base, in order."""
    return (SKELETON, EMPTY, *lock.groups)


def own_blobs(lock: Lock, blobs: Sequence[LayerLike]) -> dict[str, LayerLike]:
    """The layers that `lock` adds to its base, by group and in order, out of all layers of the image; the skeleton comes first.

    They may be given as blobs, as diff IDs, or as anything else. The layer without a file is left out.
    """
    names = own_layers(lock)
    own = dict(zip(names, blobs[-len(names) :], strict=True))
    del own[EMPTY]
    return own


def group_sizes(lock: Lock, blobs: Sequence[Blob], there: Collection[str]) -> tuple[GroupSize, ...]:
    """The size of each layer group; `there` are the digests of the blobs that a registry already has.

    Raises BuildError for a layer that registries may refuse.
    """
    own = own_blobs(lock, blobs)
    below = blobs[: -len(own) - 1]
    found = [GroupSize(name=BASE, digest="", size=_total(below), push=_total([blob for blob in below if blob.digest not in there]))]
    for name, blob in own.items():
        if blob.size > LIMIT:
            problem = f"{human_size(blob.size)} compressed, expected at most {LIMIT / 1e9:.0f} GB: registries refuse larger ones"
            raise BuildError(f"layer {name}", problem, hint="divide the group: [layers] in the profile")
        found.append(GroupSize(name=name, digest=blob.digest, size=blob.size, push=0 if blob.digest in there else blob.size))
    return tuple(found)


def _total(blobs: Sequence[Blob]) -> int:
    return sum(blob.size for blob in blobs)
