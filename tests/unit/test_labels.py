"""envgen.lock.labels: what an image says it was made from."""

import pytest
from samples import sample_lock

from envgen.lock.labels import BASE, LOCK, OVERRIDE, PYTHON, ImageLabels, base_labels, labels_of

MADE = sample_lock()


def test_what_a_lock_writes_is_read_back() -> None:
    assert ImageLabels.read(labels_of(MADE)) == ImageLabels(lock=MADE.digest, python=MADE.python, base=MADE.base, override=None)


def test_the_labels_of_another_base_replace_those_of_the_locked_one() -> None:
    found = ImageLabels.read({**labels_of(MADE), **base_labels("other:1", "3.11.2"), OVERRIDE: "other:1"})
    assert found == ImageLabels(lock=MADE.digest, python="3.11.2", base="other:1", override="other:1")


@pytest.mark.parametrize(
    ("labels", "base"),
    [({}, None), ({BASE: "a"}, "a"), ({OVERRIDE: "b"}, "b"), ({BASE: "a", OVERRIDE: "b"}, "b"), ({BASE: "a", OVERRIDE: ""}, "a")],
)
def test_the_base_that_an_image_was_built_on(labels: dict[str, str], base: str | None) -> None:
    assert ImageLabels.read(labels).built_on == base


def test_the_names_that_images_already_have() -> None:
    """Images outlive an envgen: these words are an interface."""
    assert (LOCK, PYTHON, BASE, OVERRIDE) == ("envgen.lock", "envgen.python", "org.opencontainers.image.base.name", "envgen.base.override")
