"""envgen.oci.archive: what is in an archive is read and checked, and nothing that is wrong with one ends in a traceback."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import Made, folder, item, tar_of, write_archive

from envgen.core.errors import VerificationError
from envgen.oci import Archive

CONFIG = {"os": "linux", "architecture": "amd64"}
LAYER = [folder("etc"), item("etc/hosts", b"localhost\n")]


def contents(path: Path) -> dict[str, bytes]:
    with Archive(path) as archive:
        (layer,) = archive.image().layers
        return {member.name: stream.read() if stream else b"" for member, stream in archive.files(layer)}


def test_the_entries_of_a_layer_are_read_in_order(tmp_path: Path) -> None:
    digest = Made([LAYER], CONFIG).write(tmp_path / "image.tar")
    assert contents(tmp_path / "image.tar") == {"etc": b"", "etc/hosts": b"localhost\n"}
    with Archive(tmp_path / "image.tar") as archive:
        assert archive.image(digest).digest == digest
        assert archive.image(platform="linux/amd64").config["os"] == "linux"


def test_an_index_may_name_images_that_are_not_in_the_archive(tmp_path: Path) -> None:
    digest = write_archive(tmp_path / "image.tar", [tar_of(LAYER)], CONFIG, missing_platform="linux/arm64")
    with Archive(tmp_path / "image.tar") as archive:
        assert archive.image(digest, "linux/amd64").config["architecture"] == "amd64"
        with pytest.raises(VerificationError, match="found 0 matching images"):
            archive.image(digest, "linux/arm64")


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive at `path` with the content of its files changed."""
    changed = path.with_name("changed.tar")
    with tarfile.open(path) as source, tarfile.open(changed, "w") as target:
        for member in source:
            stream = source.extractfile(member)
            content = change(member.name, stream.read() if stream else b"")
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return changed


@pytest.mark.parametrize("position", [*range(0, 130, 7), -1, -9])
def test_a_changed_byte_of_a_layer_is_found(tmp_path: Path, position: int) -> None:
    Made([LAYER], CONFIG).write(tmp_path / "image.tar")

    def flip(_name: str, content: bytes) -> bytes:
        if content[:2] != b"\x1f\x8b":
            return content
        changed = bytearray(content)
        changed[position] ^= 1
        return bytes(changed)

    with pytest.raises(VerificationError, match=r"its (layer|blob) sha256:\w{12} (can't be read|has sha256|has \d+ bytes)"):
        contents(rewritten(tmp_path / "image.tar", flip))


def test_a_layer_that_is_cut_off_in_a_file_is_an_error(tmp_path: Path) -> None:
    large = item("large", bytes(range(256)) * 40_000)
    Made([[large]], CONFIG).write(tmp_path / "image.tar")
    cut = rewritten(tmp_path / "image.tar", lambda _, content: content[: len(content) // 2] if content[:2] == b"\x1f\x8b" else content)
    with pytest.raises(VerificationError, match=r"its blob sha256:\w{12} has \d+ bytes, expected"):
        contents(cut)


@pytest.mark.parametrize(
    "documents",
    [{}, [], {"manifests": 5}, {"manifests": [5]}, {"manifests": [{"digest": []}]}, {"manifests": [{"platform": 5}]}],
)
def test_an_index_that_is_none_is_no_traceback(tmp_path: Path, documents: Any) -> None:
    Made([LAYER], CONFIG).write(tmp_path / "image.tar")
    text = json.dumps(documents).encode()
    with pytest.raises(VerificationError):
        contents(rewritten(tmp_path / "image.tar", lambda name, content: text if name == "index.json" else content))


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no archive")
    with pytest.raises(VerificationError, match="can't be read as an archive"):
        contents(tmp_path / "image.tar")
