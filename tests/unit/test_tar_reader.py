"""envgen.oci.tar_reader: honest tar files are read as Python reads them, all others are refused in bounded memory and time."""

import io
import itertools
import random
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hostile_tars import BLOCK, END, HOSTILE, Endless, a_file, header, pax

from envgen.oci.tar_reader import Slice, TarReader, is_tar

FIELDS = (
    "name",
    "type",
    "size",
    "mode",
    "uid",
    "gid",
    "mtime",
    "linkname",
    "uname",
    "gname",
    "devmajor",
    "devminor",
    "offset",
    "offset_data",
)


def written(form: int) -> bytes:
    """An honest tar file with one of each kind."""
    buffer = io.BytesIO()
    long = "/".join(["a-long-name"] * 20)
    entries: list[tuple[str, bytes, dict[str, Any]]] = [
        ("folder", b"", {"type": tarfile.DIRTYPE, "mode": 0o755}),
        ("folder/file", b"some content", {"mtime": 1.5 if form == tarfile.PAX_FORMAT else 1}),
        ("empty", b"", {}),
        ("large", bytes(range(256)) * 20, {"uid": 10001, "gid": 2_000_000, "uname": "user", "gname": "group"}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "folder/file"}),
        ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "empty"}),
        ("device", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("pipe", b"", {"type": tarfile.FIFOTYPE}),
    ]
    if form != tarfile.USTAR_FORMAT:
        entries += [(long, b"x", {}), ("é🎉", b"x", {}), ("z", b"", {"type": tarfile.SYMTYPE, "linkname": long})]
        entries += [("old", b"", {"mtime": -1} if form == tarfile.GNU_FORMAT else {}), ("owner", b"", {"uid": 10_000_000})]
    if form == tarfile.PAX_FORMAT:
        entries.append(("attributes", b"x", {"pax_headers": {"SCHILY.xattr.user.a": "b", "comment": "é"}}))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content, fields in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read(content: bytes, *, seek: bool = False, **limits: int) -> list[tuple[tarfile.TarInfo, bytes]]:
    stream = io.BytesIO(content)
    tar = TarReader(stream, seek=stream.seek if seek else None, **limits)
    return [(member, tar.read(member) if member.isreg() and not seek else b"") for member in tar]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "gnu", "pax"])
def test_an_honest_file_is_read_as_python_reads_it(form: int) -> None:
    content = written(form)
    found = read(content)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for (member, inside), expected in itertools.zip_longest(found, tar):
            assert [(name, getattr(member, name)) for name in FIELDS] == [(name, getattr(expected, name)) for name in FIELDS]
            assert member.pax_headers == expected.pax_headers
            stream = tar.extractfile(expected) if expected.isreg() else None
            assert inside == (stream.read() if stream else b"")
    jumped = [[getattr(member, name) for name in FIELDS] for member, _ in read(content, seek=True)]
    assert jumped == [[getattr(member, name) for name in FIELDS] for member, _ in found]


@pytest.mark.parametrize("seek", [False, True], ids=["forwards", "jumping"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, seek: bool) -> None:
    content, words = HOSTILE[name]
    with pytest.raises(tarfile.ReadError) as caught:
        read(content, seek=seek)
    assert words in str(caught.value)


def test_the_comment_of_git_archive_is_of_all_entries() -> None:
    content = pax(("comment", "a commit"), kind=tarfile.XGLTYPE) + a_file("a") + pax(("mtime", "1.5")) + a_file("b") + END
    (first, _), (second, _) = read(content)
    assert first.pax_headers == {"comment": "a commit"}
    assert second.pax_headers == {"comment": "a commit", "mtime": "1.5"}


def test_entries_without_end_are_refused() -> None:
    tar = TarReader(Endless(lambda: header() * 100, limit=2 << 20), headers=1 << 20)
    with pytest.raises(tarfile.ReadError, match="more than 1 MB of headers"):
        list(tar)


def test_records_count_as_much_as_entries() -> None:
    many = pax(*((f"k{number}", "") for number in range(50))) + header()
    with pytest.raises(tarfile.ReadError, match="more than 1 MB of headers"):
        read(many * 50, headers=1 << 20)


def test_a_content_ends_where_it_ends() -> None:
    stream = io.BytesIO(a_file("a", b"first") + a_file("b", b"second") + END)
    tar = TarReader(stream)
    members = iter(tar)
    first = next(members)
    assert (tar.read(first, 2), tar.read(first, 100), tar.read(first), tar.read(first, 1)) == (b"fi", b"rst", b"", b"")
    assert tar.read(next(members)) == b"second"
    assert list(members) == []
    assert tar.end == 4 * BLOCK


def test_a_short_read_is_no_end() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 100))

    tar = TarReader(Dripping(a_file("a", b"x" * 2000) + END))
    assert [tar.read(member) for member in tar] == [b"x" * 2000]


def test_two_slices_do_not_disturb_each_other() -> None:
    stream = io.BytesIO(b"0123456789")
    one, other = Slice(stream, 2, 4), Slice(stream, 6, 4)
    assert (one.read(2), other.read(3), one.read(), other.read(9), one.read()) == (b"23", b"678", b"45", b"9", b"")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
def test_a_changed_byte_is_an_error_or_another_file_and_nothing_else(form: int) -> None:
    content, chance = written(form), random.Random(7)
    for _ in range(500):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] = chance.randrange(256)
        with suppress(tarfile.ReadError):
            read(bytes(changed), seek=chance.random() < 0.5)


def test_what_begins_like_a_tar_file(tmp_path: Path) -> None:
    for name, content, expected in (("a", a_file() + END, True), ("b", b"{}", False), ("c", b"", False), ("d", b"x" * 2000, False)):
        (tmp_path / name).write_bytes(content)
        assert is_tar(tmp_path / name) == expected
    (tmp_path / "e").write_bytes(HOSTILE["an extended header of 6 GiB"][0])
    assert is_tar(tmp_path / "e"), "what is wrong with it is for a reader of archives to say"
    assert not is_tar(tmp_path / "missing")
