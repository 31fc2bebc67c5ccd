"""envgen.store_archive: the same bytes for the same content, and nothing gets in by an archive that somebody made up."""

import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from envgen import store_archive
from envgen.errors import EnvgenError, UsageError, VerificationError
from envgen.store_archive import MANIFEST, Entry, StoreArchive, base_entry, wheel_entry, write_archive
from envgen.tars import add_bytes, write_tar

ALPHA, BETA = b"the wheel of alpha" * 100, b"the wheel of beta"
BASE = f"python:3.11-slim-bookworm@sha256:{'a' * 64}"
IMAGE = b"a base"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(name: str, content: bytes) -> Entry:
    return wheel_entry(f"{name}-1.0-py3-none-any.whl", sha256(content), len(content))


CONTENT = {wheel("beta", BETA): BETA, wheel("alpha", ALPHA): ALPHA, base_entry(BASE, sha256(IMAGE), len(IMAGE)): IMAGE}


def written(folder: Path, content: Mapping[Entry, bytes] | None = None) -> bytes:
    """The archive that envgen writes of some content."""
    content = CONTENT if content is None else content
    paths = {entry: folder / f"{position}.bin" for position, entry in enumerate(content)}
    for entry, path in paths.items():
        path.write_bytes(content[entry])
    stream = io.BytesIO()
    write_archive(stream, paths)
    return stream.getvalue()


def read(folder: Path, archive: bytes) -> dict[str, bytes]:
    """Every file of an archive by its path, checked."""
    path = folder / "archive.tar"
    path.write_bytes(archive)
    with StoreArchive(path) as found:
        return {entry.path: b"".join(found.content(entry)) for entry in found.entries}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read(tmp_path, written(tmp_path)) == {entry.path: content for entry, content in CONTENT.items()}
    assert read(tmp_path, written(tmp_path, {})) == {}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path)
    before = os.umask(0o077)
    try:
        (tmp_path / "other").mkdir()
        assert written(tmp_path / "other", dict(reversed(CONTENT.items()))) == first
    finally:
        os.umask(before)
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [MANIFEST, *sorted(entry.path for entry in CONTENT)]
    assert {(member.mtime, member.mode, member.uid, member.gid, member.uname, member.gname) for member in members} == {
        (315532800, 0o644, 0, 0, "", "")
    }


def test_a_long_name_and_plain_tar_programs(tmp_path: Path) -> None:
    content = {wheel("very-" * 30 + "long", BETA): BETA}
    assert list(read(tmp_path, written(tmp_path, content)).values()) == [BETA]


@pytest.mark.parametrize("content", [BETA[:-1], BETA + b"x", BETA[:-1] + b"x"], ids=["shorter", "longer", "another"])
def test_what_is_not_what_its_entry_says_is_not_written(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(VerificationError, match=r"damaged; nothing was written"):
        written(tmp_path, {wheel("beta", BETA): content})


Add = Callable[[tarfile.TarFile], None]


def rows(*entries: Entry) -> list[dict[str, Any]]:
    return [{"path": entry.path, "sha256": entry.sha256, "size": entry.size} for entry in entries]


def made(manifest: object, *adds: Add) -> bytes:
    """An archive of somebody else's."""
    return tar_of(a_file(MANIFEST, json.dumps(manifest).encode()), *adds)


def tar_of(*adds: Add) -> bytes:
    stream = io.BytesIO()
    with write_tar(stream) as tar:
        for add in adds:
            add(tar)
    return stream.getvalue()


def a_file(name: str, content: bytes) -> Add:
    return lambda tar: add_bytes(tar, name, content)


def a_link(name: str, kind: bytes, target: str) -> Add:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        tar.addfile(entry)

    return add


ONE = wheel("beta", BETA)
ITS_FILE = a_file(ONE.path, BETA)


def good(*adds: Add, **change: object) -> bytes:
    """An archive with one wheel, whose entry is changed, and more in it."""
    return made({"format": 1, "files": [{**rows(ONE)[0], **change}]}, *adds)


HOSTILE = {
    "a path out of the store": (good(ITS_FILE, a_file("../../evil.whl", b"x")), r"holds '\.\./\.\./evil\.whl', which is no file"),
    "an absolute path": (good(ITS_FILE, a_file("/etc/passwd", b"x")), r"holds '/?etc/passwd', which is no file"),
    "a file that is not named": (good(ITS_FILE, a_file("wheels/extra.whl", b"x")), r"holds 'wheels/extra.whl', which is no file"),
    "words for a terminal": (good(ITS_FILE, a_file("\x1b[31mred\nerror: no", b"x")), r"holds '\\x1b\[31mred\\nerror: no'"),
    "a symbolic link": (good(a_link(ONE.path, tarfile.SYMTYPE, "/etc/passwd")), r"which is no file that"),
    "a hard link": (good(a_link(ONE.path, tarfile.LNKTYPE, MANIFEST)), r"which is no file that"),
    "a device": (good(a_link(ONE.path, tarfile.CHRTYPE, "")), r"which is no file that"),
    "a folder": (good(a_link(ONE.path, tarfile.DIRTYPE, "")), r"which is no file that"),
    "the same file twice": (good(ITS_FILE, ITS_FILE), r"twice"),
    "a second manifest": (good(ITS_FILE, a_file(MANIFEST, b"{}")), r"which is no file that"),
    "another content": (good(a_file(ONE.path, BETA[:-1] + b"x")), r"has sha256 [0-9a-f]{64}, expected "),
    "another size": (good(a_file(ONE.path, BETA + b"x")), r"has 18 bytes, expected 17"),
    "a size that it does not have": (good(ITS_FILE, size=1 << 60), r"has 17 bytes, expected 1152921504606846976"),
    "a file that is missing": (good(), r"lacks 1 of 1 files, such as wheels/"),
    "an entry out of the store": (good(ITS_FILE, path=f"wheels/{ONE.sha256}/../x.whl"), r"neither a wheel nor a base"),
    "an entry under another digest": (good(ITS_FILE, path=f"wheels/{'0' * 64}/x.whl"), r"neither a wheel nor a base"),
    "an entry of another kind": (good(ITS_FILE, path="models/x"), r"neither a wheel nor a base"),
    "a base without its name": (good(ITS_FILE, path=f"bases/{'a' * 64}.tar"), r"neither a wheel nor a base"),
    "a base with another name": (
        good(ITS_FILE, path=f"bases/{'a' * 64}.tar", base=f"x@sha256:{'b' * 64}"),
        r"neither a wheel nor a base",
    ),
    "a name for a terminal": (
        good(ITS_FILE, path=f"bases/{'a' * 64}.tar", base=f"\x1b[31m@sha256:{'a' * 64}"),
        r"neither a wheel nor a base: .*\\\\x1b",
    ),
    "a size that is no number": (good(ITS_FILE, size="17"), r"neither a wheel nor a base"),
    "a size that is true": (good(ITS_FILE, size=True), r"neither a wheel nor a base"),
    "a size below nothing": (good(ITS_FILE, size=-1), r"neither a wheel nor a base"),
    "more than we know": (good(ITS_FILE, signed="by me"), r"neither a wheel nor a base"),
    "an entry that is none": (made({"format": 1, "files": ["x"]}), r"neither a wheel nor a base"),
    "an entry twice": (made({"format": 1, "files": rows(ONE, ONE)}, ITS_FILE), r"names a file twice"),
    "another format": (made({"format": 2, "files": []}), r"has another format than 1"),
    "a manifest that is a list": (made([]), r"has another format than 1"),
    "no list of files": (made({"format": 1, "files": {}}), r"has another format than 1"),
    "no JSON": (made({}).replace(b"{}", b"{x"), r"can't be read as an archive: Expecting property name"),
    "no manifest": (tar_of(ITS_FILE), r"does not begin with envgen-store.json"),
    "nothing at all": (b"", r"can't be read as an archive: empty file"),
    "no tar file": (b"PK\3\4" * 500, r"can't be read as an archive: "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_somebody_made_up(name: str, tmp_path: Path) -> None:
    archive, words = HOSTILE[name]
    with pytest.raises(VerificationError, match=words) as caught:
        read(tmp_path, archive)
    assert caught.value.exit_code == 8
    assert caught.value.where == str(tmp_path / "archive.tar")
    assert caught.value.hint
    assert "\x1b" not in str(caught.value)


def test_the_archive_that_they_were_made_from_is_a_good_one(tmp_path: Path) -> None:
    assert read(tmp_path, good(ITS_FILE)) == {ONE.path: BETA}


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(ONE.path)
        entry.size, entry.pax_headers = len(BETA), {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(len(BETA))}
        tar.addfile(entry, io.BytesIO(BETA))

    with pytest.raises(VerificationError, match=r"which is no file that"):
        read(tmp_path, good(add))


def test_headers_are_not_read_into_memory_whatever_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(ONE.path)
        entry.size, entry.pax_headers = len(BETA), {"comment": "x" * 5000}
        tar.addfile(entry, io.BytesIO(BETA))

    assert read(tmp_path, good(add)) == {ONE.path: BETA}
    monkeypatch.setattr(store_archive, "CHUNK", 4096)
    with pytest.raises(VerificationError, match=r"found a header of \d+ bytes"):
        read(tmp_path, good(add))


def test_headers_that_follow_each_other_without_end(tmp_path: Path) -> None:
    def add(tar: tarfile.TarFile) -> None:
        for _ in range(3000):
            entry = tarfile.TarInfo("././@LongLink")
            entry.type = tarfile.GNUTYPE_LONGNAME
            tar.addfile(entry)

    with pytest.raises(VerificationError, match=r"can't be read as an archive|lacks"):
        read(tmp_path, good(add))


def test_wherever_an_archive_is_cut_off_it_is_refused_or_whole(tmp_path: Path) -> None:
    archive = written(tmp_path)
    everything = {entry.path: content for entry, content in CONTENT.items()}
    end = archive.rindex(BETA) + len(BETA) if archive.rindex(BETA) > archive.rindex(ALPHA) else archive.rindex(ALPHA) + len(ALPHA)
    for length in range(0, len(archive), 97):
        try:
            found = read(tmp_path, archive[:length])
        except VerificationError:
            continue
        assert found == everything
        assert length >= end


def test_a_changed_byte_is_found_or_does_no_harm(tmp_path: Path) -> None:
    archive = written(tmp_path)
    everything = {entry.path: content for entry, content in CONTENT.items()}
    chance = random.Random(4)
    refused = 0
    for _ in range(400):
        changed = bytearray(archive)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        try:
            found = read(tmp_path, bytes(changed))
        except EnvgenError:
            refused += 1
        else:
            # Names of wheels and bases are only as good as whoever made the archive; contents are what their digests say.
            assert set(found.values()) == set(everything.values())
    assert refused > 100


def test_what_is_no_file_is_no_archive(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.tar"):
        with pytest.raises(UsageError, match=r"can't be read: "):
            StoreArchive(path)
