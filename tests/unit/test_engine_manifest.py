"""envgen.engine.docker.manifest: the manifest in an archive that an engine writes, of an image that anybody may have made."""

import json
from pathlib import Path

import pytest
from hostile_tars import END, HOSTILE, a_file
from layouts import Layout

from envgen.core.errors import EngineError
from envgen.engine.docker.manifest import _archived


def chunks(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[place : place + 1000] for place in range(0, len(content), 1000)]


def test_the_manifest_is_found_in_the_archive(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(a_file() + END)
    index = layout.index(layout.attestation(image), image)
    for wanted in (image, index):
        found = _archived(chunks(layout.write(tmp_path / "image.tar", index)), wanted["digest"])
        assert found == json.loads(layout.blobs[image["digest"]])


@pytest.mark.parametrize("content", [b"{" + b'"a":[' * 100_000, b"{", b"{}", b"[]"])
def test_a_manifest_that_is_none_is_an_error(content: bytes, tmp_path: Path) -> None:
    layout = Layout()
    image = layout.add(content, "x")
    with pytest.raises(EngineError, match="has no manifest"):
        _archived(chunks(layout.write(tmp_path / "image.tar", image)), image["digest"])


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "nothing"])
def test_an_archive_that_is_malformed_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(HOSTILE[name][0])
    with pytest.raises(EngineError, match="can't be read"):
        _archived(chunks(tmp_path / "image.tar"), f"sha256:{'0' * 64}")
