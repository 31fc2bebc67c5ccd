"""envgen.oci.archive: archives that lie, explode, or hold another image than the one that is looked at."""

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_tars import END, HOSTILE, a_file, header, pax
from image_files import compress
from layouts import Described, Layout, named, path_of, placed

from envgen.core.errors import VerificationError
from envgen.oci import Archive
from envgen.oci import archive as oci
from envgen.trust.diff.images import read_layer

GOOD = a_file("etc/hosts") + END


def read(path: Path) -> None:
    with Archive(path) as archive:
        archive.verify(archive.image())


def others(path: Path, digest: str = "") -> tuple[str, ...]:
    with Archive(path) as archive:
        return archive.others(archive.image(digest, "linux/amd64"))


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "nothing"])
def test_a_layer_that_no_honest_program_writes(name: str, compression: str, tmp_path: Path) -> None:
    content, words = HOSTILE[name]
    layout = Layout()
    path = layout.write(tmp_path / "image.tar", layout.image(content, compression=compression))
    with pytest.raises(VerificationError) as caught:
        read(path)
    assert words in str(caught.value)
    assert caught.value.exit_code == 8
    with Archive(path) as archive, pytest.raises(VerificationError):
        read_layer(archive, archive.image().layers[0])


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_no_honest_program_writes(name: str, tmp_path: Path) -> None:
    content, words = HOSTILE[name]
    (tmp_path / "image.tar").write_bytes(content)
    with pytest.raises(VerificationError) as caught:
        read(tmp_path / "image.tar")
    assert "can't be read as an archive" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_layer_that_unpacks_to_far_more_than_it_has(compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout()
    path = layout.write(tmp_path / "image.tar", layout.image(a_file("x", bytes(4 << 20)) + END, compression=compression))
    read(path)
    monkeypatch.setattr(oci, "FREE", 1 << 20)
    with pytest.raises(VerificationError, match="unpacks to more than 1 MB"):
        read(path)


def test_entries_without_end_in_all_layers_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout()
    layers = [b"".join(header(f"{layer}/{number}") for number in range(1000)) + END for layer in range(3)]
    path = layout.write(tmp_path / "image.tar", layout.image(*layers))
    read(path)
    monkeypatch.setattr(oci, "MOST_HEADERS", 1 << 20)
    with pytest.raises(VerificationError, match="of headers"):
        read(path)


def test_what_is_behind_the_end_of_a_layer_is_found(tmp_path: Path) -> None:
    layout = Layout()
    path = layout.write(tmp_path / "image.tar", layout.image(a_file() + END + a_file("etc/cron") + END))
    with pytest.raises(VerificationError, match="found data after its end, at byte"):
        read(path)


@pytest.mark.parametrize("content", [b"EVIL", b"e" * len(GOOD)], ids=["shorter", "as long"])
def test_a_blob_that_is_not_what_its_digest_says(content: bytes, tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(GOOD)
    digest = json.loads(layout.blobs[image["digest"]])["layers"][0]["digest"]
    layout.blobs[digest] = content
    with pytest.raises(VerificationError, match=r"sha256:\w{12}( has 4 bytes| can't be read| has sha256)"):
        read(layout.write(tmp_path / "image.tar", image))


def test_a_blob_that_unpacks_to_something_else(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(GOOD, compression="gzip")
    manifest = json.loads(layout.blobs[image["digest"]])
    manifest["layers"] = [layout.add(gzip.compress(a_file("etc/evil") + END), manifest["layers"][0]["mediaType"])]
    with pytest.raises(VerificationError, match=r"its layer sha256:\w{12} has sha256 \w{64}, expected sha256:"):
        read(layout.write(tmp_path / "image.tar", layout.document(**manifest)))


@pytest.mark.parametrize("size", [-1, 1, True, "1536", 1536.0, 1 << 80])
def test_a_size_that_is_not_that_of_the_blob(size: Any, tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(GOOD)
    manifest = json.loads(layout.blobs[image["digest"]])
    for part in (manifest["layers"][0], manifest["config"]):
        right, part["size"] = part["size"], size
        with pytest.raises(VerificationError, match=r"its blob sha256:\w{12} has \d+ bytes, expected"):
            read(layout.write(tmp_path / "image.tar", layout.document(**manifest)))
        part["size"] = right
    with pytest.raises(VerificationError, match=r"its blob sha256:\w{12} has \d+ bytes, expected"):
        read(layout.write(tmp_path / "image.tar", {**image, "size": size}))


def test_more_layers_than_any_engine_takes(tmp_path: Path) -> None:
    layout = Layout()
    with pytest.raises(VerificationError, match="has 501 layers, expected at most 500"):
        read(layout.write(tmp_path / "image.tar", layout.image(*[GOOD] * 501)))


@pytest.mark.parametrize("deep", [b"[" * 200_000, b'{"a":' * 200_000, b'{"manifests":' + b"[" * 500 + b"]" * 500 + b"}"])
@pytest.mark.parametrize("place", ["index.json", "manifest", "config", "manifest.json"])
def test_a_document_that_is_nested_too_deep(place: str, deep: bytes, tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(GOOD)
    if place == "manifest":
        image = layout.add(deep, "x")
    elif place == "config":
        manifest = json.loads(layout.blobs[image["digest"]])
        image = layout.document(**{**manifest, "config": layout.add(deep, "x")})
    else:
        layout.files[place] = deep
    with (
        Archive(layout.write(tmp_path / "image.tar", image)) as archive,
        pytest.raises(VerificationError, match="nested more than 100 deep"),
    ):
        archive.check_only(archive.image())


@pytest.mark.parametrize("place", ["index.json", "manifest", "config"])
def test_a_document_that_is_too_large(place: str, tmp_path: Path) -> None:
    layout = Layout()
    large = json.dumps({"manifests": [], "a": "x" * oci.LARGEST_DOCUMENT}).encode()
    image = layout.image(GOOD)
    if place == "manifest":
        image = layout.add(large, "x")
    elif place == "config":
        image = layout.document(**{**json.loads(layout.blobs[image["digest"]]), "config": layout.add(large, "x")})
    else:
        layout.files[place] = large
    with pytest.raises(VerificationError, match="is missing or far too large"):
        read(layout.write(tmp_path / "image.tar", image))


def test_indexes_that_name_each_other_again_and_again_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout()
    entry = image = layout.image(GOOD)
    for _ in range(7):
        entry = layout.index(*[entry] * 30)
    reads = []
    original = Archive._json
    monkeypatch.setattr(Archive, "_json", lambda archive, name: [reads.append(name), original(archive, name)][1])
    with Archive(layout.write(tmp_path / "image.tar", entry)) as archive:
        assert archive.image().digest == image["digest"]
        assert archive.others(archive.image()) == ()
        assert len(archive.reachable(entry["digest"])) == 10
    assert len(reads) < 60


def test_indexes_in_one_another_without_end(tmp_path: Path) -> None:
    layout = Layout()
    entry = layout.image(GOOD)
    for _ in range(2000):
        entry = layout.index(entry)
    with pytest.raises(VerificationError, match="indexes nested more than 8 deep"):
        read(layout.write(tmp_path / "image.tar", entry))


def test_a_name_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    for name in ("index.json", "./index.json", "blobs/../index.json"):
        layout = Layout()
        path = layout.write(tmp_path / "image.tar", layout.image(GOOD), last=[tarfile.TarInfo(name)])
        with pytest.raises(VerificationError, match=r"contains 'index\.json' twice"):
            read(path)
    link = tarfile.TarInfo("index.json")
    link.type, link.linkname = tarfile.SYMTYPE, "other.json"
    with pytest.raises(VerificationError, match=r"contains 'index\.json' twice"):
        read(layout.write(tmp_path / "image.tar", layout.image(GOOD), last=[link]))


def test_an_archive_that_tar_made_of_a_folder(tmp_path: Path) -> None:
    layout = Layout()
    folder = tarfile.TarInfo("./blobs")
    folder.type = tarfile.DIRTYPE
    read(layout.write(tmp_path / "image.tar", layout.image(GOOD), prefix="./", last=[folder, folder]))


def test_a_link_is_no_blob(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(GOOD)
    content = layout.blobs.pop(image["digest"])
    layout.files["elsewhere"] = content
    link = tarfile.TarInfo(path_of(image["digest"]))
    link.type, link.linkname = tarfile.SYMTYPE, "../../elsewhere"
    with pytest.raises(VerificationError, match="found 0 matching images"):
        read(layout.write(tmp_path / "image.tar", image, last=[link]))


EVIL = a_file("etc/evil") + END
Make = Callable[[Layout, Described], list[Described]]


def with_docker_index(of: Callable[[Layout, Described], list[Described]]) -> Make:
    def make(layout: Layout, image: Described) -> list[Described]:
        layout.docker_index(*of(layout, image))
        return [image]

    return make


def with_old_index(layout: Layout, image: Described) -> list[Described]:
    layout.files["repositories"] = b"{}"
    return [image]


def without_files(layout: Layout, image: Described) -> Described:
    """Another image of which only the manifest is here."""
    found = layout.image(EVIL)
    for blob in (json.loads(layout.blobs[found["digest"]])["config"], *json.loads(layout.blobs[found["digest"]])["layers"]):
        del layout.blobs[blob["digest"]]
    return found


def same_config(layout: Layout, image: Described) -> Described:
    """Another image with the configuration of the first."""
    manifest = json.loads(layout.blobs[image["digest"]])
    return layout.document(**{**manifest, "layers": [layout.add(EVIL, "x")]})


HARMLESS: dict[str, Make] = {
    "one image": lambda _layout, image: [image],
    "under two names": lambda _layout, image: [named(image, "x:1"), named(image, "x:2")],
    "in an index": lambda layout, image: [layout.index(placed(image, "amd64"))],
    "with its attestation": lambda layout, image: [layout.index(placed(image, "amd64"), layout.attestation(image))],
    "with a platform that is not here": lambda layout, image: [
        layout.index(placed(image, "amd64"), placed({**image, "digest": f"sha256:{'9' * 64}"}, "arm64"))
    ],
    "with a manifest of a platform that is not here": lambda layout, image: [
        layout.index(placed(image, "amd64"), placed(without_files(layout, image), "arm64"))
    ],
    "with Docker's index": with_docker_index(lambda _layout, image: [image]),
    "with Docker's index twice": with_docker_index(lambda _layout, image: [image, image]),
}

OTHER: dict[str, tuple[Make, str]] = {
    "another image under a name": (
        lambda layout, image: [image, named(placed(layout.image(EVIL), "arm64"), "x:1")],
        r"also contains the image sha256:\w{12} \(linux/arm64\), which an engine may load",
    ),
    "another platform": (
        lambda layout, image: [layout.index(placed(image, "amd64"), placed(layout.image(EVIL), "arm64"))],
        r"also contains the image sha256:\w{12} \(linux/arm64\)",
    ),
    "an image whose blobs an engine may have": (
        lambda layout, image: [placed(image, "amd64"), placed(without_files(layout, image), "arm64")],
        r"also contains the image sha256:\w{12}",
    ),
    "an image that is said to be an attestation": (
        lambda layout, image: [
            layout.index(placed(image, "amd64"), layout.attestation(image, kind="application/vnd.oci.image.layer.v1.tar"))
        ],
        r"also contains the image sha256:\w{12} \(unknown/unknown\)",
    ),
    "an attestation of another image": (
        lambda layout, image: [layout.index(placed(image, "amd64"), layout.attestation(image, of=f"sha256:{'9' * 64}"))],
        r"also contains the image sha256:\w{12} \(unknown/unknown\)",
    ),
    "another image in Docker's index": (
        with_docker_index(lambda layout, _image: [layout.image(EVIL)]),
        r"its manifest\.json names a different image than its index\.json, with the configuration 'blobs/sha256/\w{64}'",
    ),
    "another image in Docker's index as well": (
        with_docker_index(lambda layout, image: [image, layout.image(EVIL)]),
        r"its manifest\.json names a different image",
    ),
    "other layers in Docker's index": (
        with_docker_index(lambda layout, image: [same_config(layout, image)]),
        r"its manifest\.json names a different image",
    ),
    "the index of an old engine": (with_old_index, r"also contains repositories"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_an_archive_with_one_image(name: str, tmp_path: Path) -> None:
    layout = Layout()
    path = layout.write(tmp_path / "image.tar", *HARMLESS[name](layout, layout.image(GOOD)))
    assert others(path) == ()


@pytest.mark.parametrize("name", OTHER)
def test_an_archive_with_another_image(name: str, tmp_path: Path) -> None:
    layout = Layout()
    make, words = OTHER[name]
    image = layout.image(GOOD)
    path = layout.write(tmp_path / "image.tar", *make(layout, image))
    (found,) = others(path)
    with Archive(path) as archive, pytest.raises(VerificationError, match=words) as caught:
        archive.check_only(archive.image(image["digest"]))
    assert found in str(caught.value)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("content", [b"5", b"{}", b"[5]", b"[{}]", b'[{"Config": "x", "Layers": 5}]', b"["])
def test_an_index_of_docker_that_is_none(content: bytes, tmp_path: Path) -> None:
    layout = Layout()
    layout.files["manifest.json"] = content
    path = layout.write(tmp_path / "image.tar", layout.image(GOOD))
    if content == b"{}":
        assert others(path) == ()
        return
    with pytest.raises(VerificationError, match=r"manifest\.json is not JSON|its index is malformed"):
        others(path)


def test_a_compressed_layer_that_begins_with_a_huge_header(tmp_path: Path) -> None:
    """6 GiB of zeros take 200 kB in zstd."""
    content = header("h", length=6 << 30, kind=b"x") + bytes(64 << 20)
    assert len(compress(content, "zstd")) < 10_000
    layout = Layout()
    with pytest.raises(VerificationError, match="found a header of 6442450944 bytes"):
        read(layout.write(tmp_path / "image.tar", layout.image(content, compression="zstd")))


def test_pax_names_are_those_of_the_layer(tmp_path: Path) -> None:
    layout = Layout()
    path = layout.write(tmp_path / "image.tar", layout.image(pax(("path", "a/long/name")) + a_file("short") + END))
    with Archive(path) as archive:
        assert [member.name for member, _ in archive.files(archive.image().layers[0])] == ["a/long/name"]
