"""envgen.trust.reproduce.reproduce: an archive of somebody else is read before anything is built, or said of it."""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hostile_tars import END, a_file
from layouts import Layout, placed
from samples import sample_lock

from envgen.core.errors import VerificationError
from envgen.trust.reproduce import Plan, reproduce
from envgen.trust.reproduce.reproduce import OtherImage

LAYER = a_file("etc/hosts") + END


def find(path: Path) -> OtherImage:
    workspace: Any = SimpleNamespace(reporter=SimpleNamespace(step=lambda _text: None))
    plan = Plan(workspace=workspace, lock=sample_lock(), options=cast(Any, None), make_engine=cast(Any, None))
    return reproduce._find(plan, str(path), ExitStack())


def test_an_archive_is_found_by_its_path(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(LAYER)
    path = layout.write(tmp_path / "image.tar", image)
    assert find(path) == OtherImage(name=str(path), digest=image["digest"], archive=path)


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_layers_that_are_not_what_the_manifest_says(compression: str, tmp_path: Path) -> None:
    """The digest of the manifest is that of the image that is built."""
    layout = Layout()
    image = layout.image(LAYER, compression=compression)
    layer = next(digest for digest, content in layout.blobs.items() if digest != image["digest"] and not content.startswith(b"{"))
    for content in (b"EVIL", bytes(len(layout.blobs[layer]))):
        layout.blobs[layer] = content
        with pytest.raises(VerificationError, match=r"sha256:\w{12}"):
            find(layout.write(tmp_path / "image.tar", image))


def test_another_image_in_the_archive(tmp_path: Path) -> None:
    layout = Layout()
    entries = [layout.image(LAYER), placed(layout.image(a_file("etc/evil") + END), "arm64")]
    with pytest.raises(VerificationError, match=r"also contains the image sha256:\w{12} \(linux/arm64\)") as caught:
        find(layout.write(tmp_path / "image.tar", placed(entries[0], "amd64"), entries[1]))
    assert "docker save" in caught.value.hint
