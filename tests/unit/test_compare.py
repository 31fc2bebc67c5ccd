"""envgen.trust.reproduce.compare: every way in which two images can differ is found, placed and named."""

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from image_files import EPOCH, File, layer_tar, write_archive

from envgen.core.errors import VerificationError
from envgen.oci import Archive, Difference
from envgen.trust.reproduce.compare import OpenImage, compare_images

BASE = layer_tar([File(path="etc/passwd"), File(path="bin/sh", fields={"mode": 0o755})])
FILES = (File(path="opt/a.py"), File(path="opt/b.py"), File(path="opt/c.py"))
TORCH = layer_tar(FILES)
NAMES = ("base 1", "torch")


def compared(first: Path, second: Path, names: Sequence[str] = NAMES) -> tuple[Difference, ...]:
    with Archive(first) as one, Archive(second) as two:
        return compare_images(OpenImage(archive=one, image=one.image()), OpenImage(archive=two, image=two.image()), names)


def found(folder: Path, layers: Sequence[bytes], **second: Any) -> tuple[Difference, ...]:
    """What differs between an image of BASE and TORCH, and another one."""
    return compared(write_archive(folder / "first.tar", [BASE, TORCH]), write_archive(folder / "second.tar", layers, **second))


def changed(**fields: Any) -> bytes:
    """TORCH with another b.py."""
    content = fields.pop("content", FILES[1].content)
    return layer_tar([FILES[0], File(path="opt/b.py", content=content, fields=fields), FILES[2]])


def test_images_with_one_digest_are_the_same(tmp_path: Path) -> None:
    assert found(tmp_path, [BASE, TORCH]) == ()


@pytest.mark.parametrize("other", [TORCH, layer_tar([File(path="opt/b.py")])], ids=["the same manifest", "another one"])
def test_layers_of_one_digest_are_read_too(tmp_path: Path, other: bytes) -> None:
    """BASE has the same digests on both sides, and is something else in the second."""
    first = write_archive(tmp_path / "first.tar", [BASE, TORCH], compression="")
    second = write_archive(tmp_path / "second.tar", [BASE, other], compression="")
    second.write_bytes(second.read_bytes().replace(b"etc/passwd", b"etc/shadow"))
    with pytest.raises(VerificationError, match=r"second\.tar: its layer sha256:\w{12} (has sha256|can't be read)"):
        compared(first, second)


@pytest.mark.parametrize(
    ("fields", "what", "first", "second"),
    [
        ({"mtime": EPOCH + 1}, "mtime", "1980-01-01T00:00:00Z", "1980-01-01T00:00:01Z"),
        ({"mtime": EPOCH + 0.5}, "mtime", "1980-01-01T00:00:00Z", "1980-01-01T00:00:00.500000Z"),
        ({"mtime": 2**40}, "mtime", "1980-01-01T00:00:00Z", f"{2**40} s after 1970"),
        ({"mode": 0o4755}, "mode", "0644", "4755"),
        ({"uid": 1000}, "owner", "0:0", "1000:0"),
        ({"gid": 20}, "owner", "0:0", "0:20"),
        ({"uname": "root", "gname": "wheel"}, "owner", "0:0", "0:0 (root:wheel)"),
        ({"type": tarfile.DIRTYPE}, "kind", "file", "folder"),
        ({"type": tarfile.SYMTYPE, "linkname": "a.py"}, "kind", "file", "symbolic link"),
        ({"type": tarfile.LNKTYPE, "linkname": "opt/a.py"}, "kind", "file", "hard link"),
        ({"type": tarfile.FIFOTYPE}, "kind", "file", "pipe"),
        ({"pax_headers": {"SCHILY.xattr.user.name": "x"}}, "extended attribute user.name", "", "'x'"),
        ({"pax_headers": {"comment": "hello"}}, "pax header comment", "", "'hello'"),
    ],
    ids=lambda value: str(value),
)
def test_what_differs_in_a_file_is_named(tmp_path: Path, fields: Mapping[str, Any], what: str, first: str, second: str) -> None:
    assert found(tmp_path, [BASE, changed(**fields)]) == (
        Difference(layer="torch", path="opt/b.py", what=what, first=first, second=second),
    )


def test_content_is_told_by_size_and_digest(tmp_path: Path) -> None:
    (difference,) = found(tmp_path, [BASE, changed(content=b"some other content\n")])
    assert (difference.layer, difference.path, difference.what) == ("torch", "opt/b.py", "content")
    assert difference.first.startswith("13 bytes, sha256:")
    assert difference.second.startswith("19 bytes, sha256:")


def test_all_that_differs_in_one_file_is_said(tmp_path: Path) -> None:
    differences = found(tmp_path, [BASE, changed(content=b"x", mtime=0, mode=0o600, uid=7)])
    assert {difference.what for difference in differences} == {"content", "mtime", "mode", "owner"}
    assert {difference.path for difference in differences} == {"opt/b.py"}


def test_links_and_devices_are_compared_by_what_they_lead_to(tmp_path: Path) -> None:
    def image(name: str, target: str, minor: int) -> Path:
        link = File(path="link", fields={"type": tarfile.SYMTYPE, "linkname": target})
        device = File(path="device", fields={"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": minor})
        return write_archive(tmp_path / name, [BASE, layer_tar([link, device])])

    assert [(entry.path, entry.what, entry.first, entry.second) for entry in compared(image("1", "a", 3), image("2", "b", 5))] == [
        ("device", "device", "1:3", "1:5"),
        ("link", "link target", "a", "b"),
    ]


def test_files_that_only_one_has(tmp_path: Path) -> None:
    other = layer_tar([*FILES[:2], File(path="opt/d.py")])
    assert found(tmp_path, [BASE, other]) == (
        Difference(layer="torch", path="opt/c.py", what="only in the first", first="file"),
        Difference(layer="torch", path="opt/d.py", what="only in the second", second="file"),
    )


def test_a_path_that_is_there_twice_is_two_entries(tmp_path: Path) -> None:
    again = File(path="opt/a.py", content=b"later\n")
    assert found(tmp_path, [BASE, layer_tar([*FILES, again])]) == (
        Difference(layer="torch", path="opt/a.py", what="only in the second", second="file"),
    )


def test_another_order_is_told_by_its_first_place(tmp_path: Path) -> None:
    other = layer_tar([FILES[0], FILES[2], FILES[1]])
    assert found(tmp_path, [BASE, other]) == (
        Difference(layer="torch", path="", what="order of entries, beginning with", first="opt/b.py", second="opt/c.py"),
    )


def test_the_same_files_in_another_kind_of_tar(tmp_path: Path) -> None:
    long = File(path="x" * 120)
    first = write_archive(tmp_path / "first.tar", [BASE, layer_tar([long])])
    second = write_archive(tmp_path / "second.tar", [BASE, layer_tar([long], tarfile.GNU_FORMAT)])
    (difference,) = compared(first, second)
    assert (difference.layer, difference.path) == ("torch", "")
    assert difference.what == "the same files, written differently into the tar file"


@pytest.mark.parametrize("compression", ["gzip", ""])
def test_compression_is_no_difference_of_files(tmp_path: Path, compression: str) -> None:
    differences = found(tmp_path, [BASE, TORCH], compression=compression)
    assert [(entry.layer, entry.path, entry.what) for entry in differences] == [(name, "", "compression only") for name in NAMES]
    assert all(entry.first.startswith("zstd, ") for entry in differences)
    assert all(entry.second.startswith(f"{compression or 'none'}, ") for entry in differences)


def test_a_configuration_is_compared_key_by_key(tmp_path: Path) -> None:
    def image(name: str, labels: Mapping[str, str], env: Sequence[str], **more: object) -> Path:
        config = {"config": {"Labels": labels, "Env": env}, "history": [{"created_by": "COPY"}], **more}
        return write_archive(tmp_path / name, [BASE, TORCH], config=config)

    first = image("1", {"envgen.lock": "sha256:1", "title": "t"}, ["PATH=/bin", "HOME=/tmp"])
    second = image("2", {"envgen.lock": "sha256:2"}, ["PATH=/usr/bin", "HOME=/tmp", "A=b=c"], history=[{"created_by": "RUN"}])
    differences = compared(first, second)
    assert {entry.path for entry in differences} == {"configuration"}
    assert {(entry.what, entry.first, entry.second) for entry in differences if "order" not in entry.what} == {
        ("config.Labels.envgen.lock", "sha256:1", "sha256:2"),
        ("config.Labels.title", "t", ""),
        ("config.Env.PATH", "/bin", "/usr/bin"),
        ("config.Env.A", "", "b=c"),
        ("history[0].created_by", "COPY", "RUN"),
    }


def test_the_order_of_variables_is_a_difference(tmp_path: Path) -> None:
    first = write_archive(tmp_path / "1", [BASE, TORCH], config={"config": {"Env": ["A=1", "B=2"]}})
    second = write_archive(tmp_path / "2", [BASE, TORCH], config={"config": {"Env": ["B=2", "A=1"]}})
    assert compared(first, second) == (Difference(layer="", path="configuration", what="config.Env, in order", first="A B", second="B A"),)


def test_a_manifest_may_say_more(tmp_path: Path) -> None:
    assert found(tmp_path, [BASE, TORCH], annotations={"made": "today"}) == (
        Difference(layer="", path="manifest", what="annotations.made", second="today"),
    )


def test_the_same_values_in_another_order_are_said_to_be_that(tmp_path: Path) -> None:
    first = write_archive(tmp_path / "1", [BASE, TORCH], config={"a": "1", "b": "2"})
    second = write_archive(tmp_path / "2", [BASE, TORCH], config={"b": "2", "a": "1"})
    assert compared(first, second) == (Difference(layer="", path="configuration", what="the same values, written differently"),)


def test_layers_are_paired_from_the_top(tmp_path: Path) -> None:
    other = [layer_tar([File(path="etc/one")]), layer_tar([File(path="etc/passwd", content=b"another\n")]), TORCH]
    differences = found(tmp_path, other)
    assert [(entry.layer, entry.path, entry.what) for entry in differences] == [
        ("layer 1 of the second", "", "only in the second"),
        ("base 1", "bin/sh", "only in the first"),
        ("base 1", "etc/passwd", "content"),
    ]


def test_a_layer_that_is_missing_is_named(tmp_path: Path) -> None:
    (difference,) = found(tmp_path, [BASE])
    assert (difference.layer, difference.path, difference.what) == ("torch", "", "only in the first")


def test_a_damaged_archive_is_said_to_be_that(tmp_path: Path) -> None:
    first = write_archive(tmp_path / "first.tar", [BASE, TORCH], compression="")
    second = write_archive(tmp_path / "second.tar", [BASE, changed(mode=0o600)], compression="")
    second.write_bytes(second.read_bytes().replace(b"some content", b"same content"))
    with pytest.raises(VerificationError, match=r"second.tar: its layer sha256:\w+ has sha256 \w+, expected sha256:"):
        compared(first, second)
