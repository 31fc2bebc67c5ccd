"""envgen.image.publish: what is pushed, and what is believed of a registry after a push."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from samples import PROFILE, sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import BaseGoneError, VerificationError
from envgen.core.settings import read_settings
from envgen.engine import Engine, Image
from envgen.engine.interface import OnLine, Pushed
from envgen.image import Built, publish_image
from envgen.image.publish import tags_of
from envgen.profiles import Project
from envgen.workspace import Workspace

LOCK = sample_lock()
REPOSITORY = "registry.example/team/images"
OURS, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
IMAGE = Image(name="envgen/small", digest=OURS, size=1, labels={})


class Registry:
    """An engine whose pushes arrive, but that another image has the tags in `taken`."""

    def __init__(self, *taken: str) -> None:
        self._taken = taken
        self.tags: dict[str, str] = {}
        self.joined: list[str] = []

    def push(self, image: Image, reference: str, _on_line: OnLine) -> Pushed:
        self.tags[reference] = OTHER if reference in self._taken else image.digest
        return Pushed(reference=reference, digest=self.tags[reference], sent=())

    def digest(self, reference: str) -> str:
        if reference not in self.tags:
            raise BaseGoneError(reference, "no such tag")
        return self.tags[reference]

    def create_index(self, reference: str, images: Sequence[str]) -> None:
        self.joined += [reference, *images]


def published(folder: Path, registry: Registry) -> None:
    (folder / "profiles").mkdir()
    (folder / "profiles" / "small.toml").write_text(PROFILE)
    workspace = Workspace(project=Project(folder=folder), settings=read_settings({}, folder), reporter=QuietReporter())
    built = Built(image=IMAGE, lock=LOCK, python=LOCK.python, base=LOCK.base)
    publish_image(workspace, built, cast(Engine, registry), REPOSITORY)


def test_what_passed_goes_under_both_tags(tmp_path: Path) -> None:
    registry = Registry()
    published(tmp_path, registry)
    assert registry.tags == {f"{REPOSITORY}:{tag}": OURS for tag in tags_of(LOCK)}


@pytest.mark.parametrize("position", [0, 1])
def test_a_tag_that_stands_for_something_else_after_the_push_is_an_error(tmp_path: Path, position: int) -> None:
    tag = f"{REPOSITORY}:{tags_of(LOCK)[position]}"
    registry = Registry(tag)
    with pytest.raises(VerificationError) as caught:
        published(tmp_path, registry)
    assert str(caught.value) == f"{tag}: the registry has {OTHER} after the push, expected {OURS}"
    assert list(registry.tags)[-1] == tag, "nothing is pushed after that"
    assert not registry.joined
