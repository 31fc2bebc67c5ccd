"""envgen.oci.copy: one image, the same bytes each time, and nothing else that an archive may hold."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from oci_samples import Images

from envgen.core.errors import DiskFullError, VerificationError
from envgen.oci import Archive, copy_image

NAME = "localhost/envgen-base:abc"


def files_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # they are all files


def test_one_image_is_copied_under_our_name_alone(tmp_path: Path) -> None:
    images = Images()
    wanted, other = images.image("wanted"), images.image("other")
    source = images.write(tmp_path / "source.tar", {"mirror.example/python:3": wanted, "docker.io/library/python:3.11": other})
    copy_image(source, wanted, NAME, tmp_path / "target.tar")
    found = files_of(tmp_path / "target.tar")
    assert len(found) == 5
    assert b"other" not in b"".join(found.values())
    assert b"mirror.example" not in b"".join(found.values())
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert (entry["digest"], entry["annotations"]["io.containerd.image.name"]) == (wanted, NAME)
    with Archive(tmp_path / "target.tar") as archive:
        assert archive.image().labels == {"text": "wanted"}


def test_the_same_image_gives_the_same_bytes_whatever_archive_it_comes_in(tmp_path: Path) -> None:
    results = []
    for number, others in enumerate(((), ("one", "two"))):
        images = Images()
        for other in others:
            images.image(other)
        wanted = images.image("wanted")
        copy_image(images.write(tmp_path / f"{number}.tar", {f"name{number}": wanted}), wanted, NAME, tmp_path / f"copy{number}.tar")
        results.append((tmp_path / f"copy{number}.tar").read_bytes())
    assert results[0] == results[1]


def test_an_index_keeps_its_digest_and_has_the_platforms_that_are_there(tmp_path: Path) -> None:
    images = Images()
    here, absent, partly = images.image("amd64"), images.image("arm64"), images.image("riscv64")
    index = images.several(amd64=here, arm64=absent, riscv64=partly)
    del images.blobs[absent]
    del images.blobs[f"sha256:{hashlib.sha256(b'the layer of riscv64').hexdigest()}"]
    copy_image(images.write(tmp_path / "source.tar", {"x": index}), index, NAME, tmp_path / "target.tar")
    with Archive(tmp_path / "target.tar") as archive:
        assert archive.reachable(index)[:2] == (index, here)
        assert archive.image(platform="linux/amd64").digest == here
        assert archive.image(digest=index).digest == here
        with pytest.raises(VerificationError, match=r"found 0 matching images"):
            archive.image(platform="linux/arm64")
        assert not archive.has(partly)


def test_what_is_not_whole_is_refused(tmp_path: Path) -> None:
    images = Images()
    wanted = images.image("wanted")
    index = images.several(amd64=wanted)
    layer = f"sha256:{hashlib.sha256(b'the layer of wanted').hexdigest()}"
    del images.blobs[layer]
    source = images.write(tmp_path / "source.tar", {"x": wanted})
    for digest, words in (
        (wanted, "has no blob sha256:"),
        (index, "has no complete image of the index"),
        (f"sha256:{'0' * 64}", "is missing or far too large"),
    ):
        with pytest.raises(VerificationError, match=words):
            copy_image(source, digest, NAME, tmp_path / "target.tar")


def test_a_blob_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    images = Images()
    wanted = images.image("wanted")
    images.blobs[f"sha256:{hashlib.sha256(b'the layer of wanted').hexdigest()}"] = b"the layer of another"
    with pytest.raises(VerificationError, match=r"its blob sha256:\S+ has sha256 [0-9a-f]{64}"):
        copy_image(images.write(tmp_path / "source.tar", {"x": wanted}), wanted, NAME, tmp_path / "target.tar")


@pytest.mark.parametrize(
    "fields",
    [{"manifests": 1}, {"manifests": ["x"]}, {"manifests": [{}]}, {"layers": []}, {"config": 1, "layers": []}, {"config": {"digest": 1}}],
    ids=str,
)
def test_documents_that_make_no_sense_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    images = Images()
    wanted = images.document(**fields)
    with pytest.raises(VerificationError):
        copy_image(images.write(tmp_path / "source.tar", {"x": wanted}), wanted, NAME, tmp_path / "target.tar")


def test_indexes_in_indexes_without_end_are_refused(tmp_path: Path) -> None:
    images = Images()
    wanted = images.image("wanted")
    for _ in range(2000):
        wanted = images.document(manifests=[{"digest": wanted}])
    with pytest.raises(VerificationError, match=r"has indexes nested more than 8 deep"):
        copy_image(images.write(tmp_path / "source.tar", {"x": wanted}), wanted, NAME, tmp_path / "target.tar")


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    images = Images()
    wanted = images.image("wanted")
    source = images.write(tmp_path / "source.tar", {"x": wanted})
    with pytest.raises(DiskFullError, match=r"can't be written there: No such file") as caught:
        copy_image(source, wanted, NAME, tmp_path / "missing" / "target.tar")
    assert "TMPDIR" in caught.value.hint
