"""envgen.trust.reproduce.causes: what two images say they were made from is named where it differs."""

from collections.abc import Mapping, Sequence

from envgen.oci import ImageDocuments, Layer
from envgen.trust.reproduce.causes import likely_causes

LABELS = {
    "envgen.profile": "small",
    "envgen.target": "py311-linux-amd64",
    "envgen.lock": "sha256:1",
    "envgen.python": "3.11.16",
    "org.opencontainers.image.base.name": "python:3.11",
}
OWN = 3


def image(labels: Mapping[str, str] | None = None, base: Sequence[str] = ("base",), kind: str = "zstd", packed: str = "") -> ImageDocuments:
    layers = [(name, packed) for name in base] + [(name, "") for name in ("skeleton", "workdir", "own")]
    config = {"config": {"Labels": LABELS if labels is None else {**LABELS, **labels}}}
    found = tuple(
        Layer(digest=f"sha256:{name}{kind}{extra}", size=1, media_type=f"application/tar+{kind}", diff_id=f"sha256:{name}")
        for name, extra in layers
    )
    return ImageDocuments(digest="sha256:0", manifest={}, config=config, layers=found)


def test_images_that_say_the_same_give_no_cause() -> None:
    assert likely_causes(image(), image(), OWN) == ()


def test_an_image_of_something_else() -> None:
    other = ImageDocuments(digest="sha256:0", manifest={}, config={"config": None}, layers=())
    assert likely_causes(image(), other, OWN) == ("the other image was not built from an envgen lock: it has no label envgen.lock",)


def test_another_lock_is_named() -> None:
    assert likely_causes(image(), image({"envgen.lock": "sha256:2"}), OWN) == (
        "the other image was built from another lock: sha256:2, this one: sha256:1",
    )


def test_another_base_and_its_python_are_named() -> None:
    override = {"envgen.base.override": "debian:12", "org.opencontainers.image.base.name": "debian:12", "envgen.python": "3.11.2"}
    assert likely_causes(image(), image(override, base=("debian",)), OWN) == (
        "the other image has another Python: 3.11.2, this one: 3.11.16",
        "the other image is on another base: debian:12, this one: python:3.11",
        "the other image has another base in place of the locked one: debian:12, this one: none",
        "the other image's base has other layers: a tag alone does not identify a base",
    )


def test_a_base_of_the_same_name_may_be_another() -> None:
    assert likely_causes(image(), image(base=("later",)), OWN) == (
        "the other image's base has other layers: a tag alone does not identify a base",
    )
    assert likely_causes(image(), image(base=("one", "two")), OWN) == (
        "the other image's base has other layers: a tag alone does not identify a base",
    )


def test_another_compression_is_named() -> None:
    assert likely_causes(image(), image(kind="gzip"), OWN) == (
        "the other image has gzip layers, this one zstd",
        "the other image has its base's layers in another compression",
    )
    assert likely_causes(image(), image(packed="+again"), OWN) == ("the other image has its base's layers in another compression",)
