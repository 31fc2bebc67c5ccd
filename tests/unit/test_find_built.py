"""envgen.image.build.find_built: what is believed of an image that is already there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from samples import sample_lock

from envgen.core.errors import SmokeError, UsageError
from envgen.engine import Engine, Image
from envgen.image import find_built

LOCK = sample_lock()
BUILT = {"envgen.lock": LOCK.digest, "envgen.python": "3.11.2"}


class Shelf:
    """An engine that holds one image, or none."""

    def __init__(self, labels: Mapping[str, str] | None) -> None:
        self._labels = labels

    def image(self, name: str) -> Image | None:
        if self._labels is None or name not in (LOCK.tag, "mine"):
            return None
        return Image(name=name, digest="sha256:0", size=1, labels=self._labels)


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
    with pytest.raises(UsageError, match=r"no such image"):
        find_built(LOCK, shelf(None), "")


class Bases(Shelf):
    """An engine that has the image, with these layers, and a base under its name and digest."""

    def __init__(self, layers: tuple[str, ...], base: Image | None) -> None:
        self._layers, self._base = layers, base

    def image(self, name: str) -> Image | None:
        if name in ("mine", "good:1"):
            labels = {**BUILT, "envgen.base.override": LOCK.base if name == "mine" else "a:1"}
            return Image(name=name, digest="sha256:0", size=1, labels=labels, platform="linux/amd64", diff_ids=self._layers)
        if name not in (LOCK.base.partition("@")[2], "a:1"):
            raise UsageError(name, "no name of an image")
        return self._base


def base_of(*layers: str, platform: str = "linux/amd64") -> Image:
    return Image(name="base", digest="sha256:b", size=1, labels={}, platform=platform, diff_ids=layers)


@pytest.mark.parametrize(
    ("layers", "base", "matches"),
    [
        (("a", "b", "c"), base_of("a", "b"), True),
        (("a", "x", "c"), base_of("a", "b"), False),
        (("a", "b"), base_of("a", "b"), False),
        (("a",), base_of("a", "b"), False),
        (("a", "b", "c"), None, None),
        (("a", "b", "c"), base_of(), None),
        (("a", "b", "c"), base_of("x", platform="linux/arm64"), None),
    ],
)
def test_a_base_is_what_its_layers_are(layers: tuple[str, ...], base: Image | None, matches: bool | None) -> None:
    assert find_built(LOCK, cast(Any, Bases(layers, base)), "mine").base_matches is matches


def test_a_base_that_is_named_by_a_tag_may_have_moved_on() -> None:
    assert find_built(LOCK, cast(Any, Bases(("a", "c"), base_of("x"))), "good:1").base_matches is None
    assert find_built(LOCK, cast(Any, Bases(("a", "c"), base_of("a"))), "good:1").base_matches is True


def test_a_base_that_no_image_is_called_is_not_checked() -> None:
    class Named(Bases):
        def image(self, name: str) -> Image | None:
            found = super().image(name)
            labels = {**BUILT, "envgen.base.override": "\x1b[2J"}
            return replace(found, labels=labels) if found and name == "mine" else found

    built = find_built(LOCK, cast(Any, Named(("a", "c"), base_of("a"))), "mine")
    assert (built.base, built.base_matches) == ("\x1b[2J", None)
