"""envgen.image.build.find_built: what is believed of an image that is already there."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from samples import sample_lock

from envgen.core.errors import SmokeError
from envgen.engine import Engine, Image
from envgen.image import find_built

LOCK = sample_lock()
BUILT = {"envgen.lock": LOCK.digest, "envgen.python": "3.11.2"}


class Shelf:
    """An engine that holds one image, or none."""

    def __init__(self, labels: Mapping[str, str] | None) -> None:
        self._labels = labels

    def image(self, name: str) -> Image | None:
        return None if self._labels is None else Image(name=name, digest="sha256:0", size=1, labels=self._labels)


def shelf(labels: Mapping[str, str] | None) -> Engine:
    return cast(Any, Shelf(labels))


@pytest.mark.parametrize(
    ("labels", "base"),
    [
        ({}, LOCK.base),
        ({"org.opencontainers.image.base.name": LOCK.base}, LOCK.base),
        ({"org.opencontainers.image.base.name": "other", "envgen.base.override": "other"}, "other"),
        ({"org.opencontainers.image.base.name": "given-to-docker-build"}, "given-to-docker-build"),
    ],
    ids=["no label", "locked", "envgen build --base", "docker build --label"],
)
def test_the_base_of_an_image_is_what_its_labels_say(labels: dict[str, str], base: str) -> None:
    built = find_built(LOCK, shelf(BUILT | labels), "")
    assert (built.base, built.python, built.image.name) == (base, "3.11.2", LOCK.tag)


def test_an_image_of_another_lock_is_refused() -> None:
    with pytest.raises(SmokeError, match=r"^mine: found an image built from lock sha256:1, expected sha256:"):
        find_built(LOCK, shelf({"envgen.lock": "sha256:1"}), "mine")


def test_an_image_that_is_not_there_is_said() -> None:
    with pytest.raises(SmokeError, match=r"there is no such image"):
        find_built(LOCK, shelf(None), "")
