"""envgen.image.layers: which layer of an image is which group's, and what a push of it would send."""

from dataclasses import replace

import pytest
from samples import sample_lock

from envgen.core.errors import BuildError
from envgen.engine.interface import Blob
from envgen.image.layers import group_sizes, own_blobs
from envgen.profiles.layer_groups import LIMIT

LOCK = sample_lock()
GROUPS = ["models", "torch", "libraries", "own"]
"""The groups of the sample that have wheels."""


def blob(name: str, size: int) -> Blob:
    return Blob(digest=f"sha256:{name}", size=size, media_type="application/vnd.oci.image.layer.v1.tar+zstd")


IMAGE = (
    blob("base-1", 1000), blob("base-2", 500), blob("skeleton", 3), blob("workdir", 1),
    blob("models", 10), blob("torch", 200), blob("libraries", 30), blob("own", 4),
)  # fmt: skip


def test_the_layers_are_those_of_the_lock_in_its_order() -> None:
    assert {name: found.digest for name, found in own_blobs(LOCK, IMAGE).items()} == {
        name: f"sha256:{name}" for name in ("skeleton", *GROUPS)
    }


def test_the_base_is_what_is_left() -> None:
    sizes = group_sizes(LOCK, IMAGE, ())
    assert [(group.name, group.size) for group in sizes] == [
        ("base", 1500), ("skeleton", 3), ("models", 10), ("torch", 200), ("libraries", 30), ("own", 4),
    ]  # fmt: skip
    assert all(group.push == group.size for group in sizes)


def test_a_push_sends_what_is_not_there() -> None:
    there = {"sha256:base-1", "sha256:torch", "sha256:own"}
    assert {group.name: group.push for group in group_sizes(LOCK, IMAGE, there) if group.push} == {
        "base": 500, "skeleton": 3, "models": 10, "libraries": 30,
    }  # fmt: skip


def test_a_layer_that_registries_refuse_is_said() -> None:
    large = tuple(replace(entry, size=LIMIT + 1) if entry.digest == "sha256:torch" else entry for entry in IMAGE)
    with pytest.raises(BuildError, match=r"^layer torch: 5.0 GB compressed, expected at most 5 GB"):
        group_sizes(LOCK, large, ())
