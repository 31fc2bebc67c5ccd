"""envgen.offline.archive: the same bytes for the same content, and nothing gets in by an archive that somebody made up."""

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
from hostile_tars import HOSTILE as TARS

from envgen.core.errors import EnvgenError, UsageError, VerificationError
from envgen.oci import add_bytes, write_tar
from envgen.offline.archive import MANIFEST, ArchiveMember, StoreArchive, base_entry, model_entry, wheel_entry, write_archive
from envgen.sources import LockedModelFiles
from envgen.sources.models import HubFile

ALPHA, BETA = b"the wheel of alpha" * 100, b"the wheel of beta"
BASE = f"python:3.11-slim-bookworm@sha256:{'a' * 64}"
IMAGE = b"a base"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(name: str, content: bytes) -> ArchiveMember:
    return wheel_entry(f"{name}-1.0-py3-none-any.whl", sha256(content), len(content))


MODEL = LockedModelFiles(
    repo="tests/small",
    commit="8" * 40,
    files=(
        HubFile(name="config.json", sha256=sha256(b"{}"), size=2),
        HubFile(name="model.safetensors", sha256=sha256(b"weights"), size=7),
        HubFile(name="tokenizer.json", sha256=sha256(b"{}"), size=2),
    ),
)
ITS_FILES = dict(zip((model_entry(MODEL, file) for file in MODEL.files), (b"{}", b"weights", b"{}"), strict=True))
WITH_MODEL = {wheel("beta", BETA): BETA, **ITS_FILES}
CONTENT = {wheel("beta", BETA): BETA, wheel("alpha", ALPHA): ALPHA, base_entry(BASE, sha256(IMAGE), len(IMAGE)): IMAGE}


def written(folder: Path, content: Mapping[ArchiveMember, bytes] | None = None) -> bytes:
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
    assert read(tmp_path, written(tmp_path, WITH_MODEL)) == {entry.path: content for entry, content in WITH_MODEL.items()}


def test_without_a_model_the_bytes_are_those_of_every_envgen(tmp_path: Path) -> None:
    assert sha256(written(tmp_path)) == "93959ae378a49540b2160d36e4ea96c9696d2e7dcb2ae061ac12cd4f491035fc"


def test_files_of_a_model_are_one_model(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(written(tmp_path, WITH_MODEL))
    with StoreArchive(tmp_path / "a.tar") as found:
        assert found.models == (MODEL,)
        assert [entry.kind for entry in found.entries] == ["model", "model", "model", "wheel"]
        assert [entry.path for entry in found.wheels] == [wheel("beta", BETA).path]
        assert found.bases == ()


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
    with pytest.raises(VerificationError, match=r"corrupt: .*; nothing was written"):
        written(tmp_path, {wheel("beta", BETA): content})


Add = Callable[[tarfile.TarFile], None]


def rows(*entries: ArchiveMember) -> list[dict[str, Any]]:
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


CONFIG = next(iter(ITS_FILES))


def with_model(*adds: Add, without: int | None = None, **change: object) -> bytes:
    """An archive with a model, the entry of whose configuration is changed, and more in it; one of the files may not be there."""
    files = [a_file(entry.path, content) for position, (entry, content) in enumerate(ITS_FILES.items()) if position != without]
    first, *others = rows(*ITS_FILES)
    return made({"format": 1, "files": [{**first, **change}, *others]}, *files, *adds)


HOSTILE = {
    "a path out of the store": (good(ITS_FILE, a_file("../../evil.whl", b"x")), r"contains '\.\./\.\./evil\.whl', which"),
    "an absolute path": (good(ITS_FILE, a_file("/etc/passwd", b"x")), r"contains '/?etc/passwd', which"),
    "a file that is not named": (good(ITS_FILE, a_file("wheels/extra.whl", b"x")), r"contains 'wheels/extra.whl', which"),
    "words for a terminal": (good(ITS_FILE, a_file("\x1b[31mred\nerror: no", b"x")), r"contains '\\x1b\[31mred\\nerror: no'"),
    "a symbolic link": (good(a_link(ONE.path, tarfile.SYMTYPE, "/etc/passwd")), r"does not list"),
    "a hard link": (good(a_link(ONE.path, tarfile.LNKTYPE, MANIFEST)), r"does not list"),
    "a device": (good(a_link(ONE.path, tarfile.CHRTYPE, "")), r"does not list"),
    "a folder": (good(a_link(ONE.path, tarfile.DIRTYPE, "")), r"does not list"),
    "the same file twice": (good(ITS_FILE, ITS_FILE), r"twice"),
    "a second manifest": (good(ITS_FILE, a_file(MANIFEST, b"{}")), r"does not list"),
    "another content": (good(a_file(ONE.path, BETA[:-1] + b"x")), r"has sha256 [0-9a-f]{64}, expected "),
    "another size": (good(a_file(ONE.path, BETA + b"x")), r"has 18 bytes, expected 17"),
    "a size that it does not have": (good(ITS_FILE, size=1 << 60), r"has 17 bytes, expected 1152921504606846976"),
    "a file that is missing": (good(), r"1 of 1 files are missing, such as wheels/"),
    "an entry out of the store": (good(ITS_FILE, path=f"wheels/{ONE.sha256}/../x.whl"), r"an invalid entry"),
    "an entry under another digest": (good(ITS_FILE, path=f"wheels/{'0' * 64}/x.whl"), r"an invalid entry"),
    "a model's file out of the store": (with_model(path=f"models/tests--small/{'8' * 40}/../x.json"), r"an invalid entry"),
    "a model's file in a folder": (with_model(path=f"models/tests--small/{'8' * 40}/a/x.json"), r"an invalid entry"),
    "a model's file with a hidden name": (with_model(path=f"models/tests--small/{'8' * 40}/.x.json"), r"an invalid entry"),
    "a model out of the store": (with_model(path=f"models/..--small/{'8' * 40}/config.json"), r"an invalid entry"),
    "a model of no organisation": (with_model(path=f"models/small/{'8' * 40}/config.json"), r"an invalid entry"),
    "a model of two": (with_model(path=f"models/a--b--c/{'8' * 40}/config.json"), r"an invalid entry"),
    "a model at a branch": (with_model(path="models/tests--small/main/config.json"), r"an invalid entry"),
    "a model at more than a commit": (with_model(path=f"models/tests--small/{'8' * 41}/config.json"), r"an invalid entry"),
    "a model that is a base": (with_model(base=BASE), r"an invalid entry"),
    "a model with another hash": (with_model(sha256="0" * 64), r"config.json has sha256 [0-9a-f]{64}, expected 0000"),
    "a model's file twice": (with_model(a_file(CONFIG.path, b"{}")), r"twice"),
    "a model's entry twice": (with_model(path=list(ITS_FILES)[1].path, size=7), r"lists a file twice"),
    "a model of which one file is missing": (
        with_model(without=2),
        r"1 of 3 files are missing, such as models/tests--small/.*/tokenizer.json",
    ),
    "a model without weights": (
        made({"format": 1, "files": rows(CONFIG)}, a_file(CONFIG.path, b"{}")),
        r"has hub:tests/small@8{40} without its configuration or its weights",
    ),
    "an entry of another kind": (good(ITS_FILE, path="models/x"), r"an invalid entry"),
    "a base without its name": (good(ITS_FILE, path=f"bases/{'a' * 64}.tar"), r"an invalid entry"),
    "a base with another name": (
        good(ITS_FILE, path=f"bases/{'a' * 64}.tar", base=f"x@sha256:{'b' * 64}"),
        r"an invalid entry",
    ),
    "a name for a terminal": (
        good(ITS_FILE, path=f"bases/{'a' * 64}.tar", base=f"\x1b[31m@sha256:{'a' * 64}"),
        r"an invalid entry: .*\\\\x1b",
    ),
    "a size that is no number": (good(ITS_FILE, size="17"), r"an invalid entry"),
    "a size that is true": (good(ITS_FILE, size=True), r"an invalid entry"),
    "a size below nothing": (good(ITS_FILE, size=-1), r"an invalid entry"),
    "more than we know": (good(ITS_FILE, signed="by me"), r"an invalid entry"),
    "an entry that is none": (made({"format": 1, "files": ["x"]}), r"an invalid entry"),
    "an entry twice": (made({"format": 1, "files": rows(ONE, ONE)}, ITS_FILE), r"lists a file twice"),
    "another format": (made({"format": 2, "files": []}), r"has an unsupported format, expected 1"),
    "a manifest that is a list": (made([]), r"has an unsupported format, expected 1"),
    "no list of files": (made({"format": 1, "files": {}}), r"has an unsupported format, expected 1"),
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


@pytest.mark.parametrize("name", TARS)
def test_a_tar_file_that_no_honest_program_writes(name: str, tmp_path: Path) -> None:
    """As a whole, and behind the manifest."""
    content, words = TARS[name]
    manifest = tar_of(a_file(MANIFEST, json.dumps({"format": 1, "files": rows(ONE)}).encode()))
    begun = manifest[: len(manifest.rstrip(b"\0")) // 512 * 512 + 512]
    for archive in (content, begun + content if content else b""):
        with pytest.raises(VerificationError) as caught:
            read(tmp_path, archive)
        assert words in str(caught.value) or caught.value.problem in (
            f"does not begin with {MANIFEST}",
            f"contains 'x', which {MANIFEST} does not list",
        )


@pytest.mark.parametrize("letters", [251, 255, 300, 5000])
def test_a_name_that_no_file_can_have_is_what_is_wrong_with_the_archive(letters: int, tmp_path: Path) -> None:
    entry = wheel_entry(f"{'n' * (letters - 4)}.whl", sha256(BETA), len(BETA))
    for path in (entry.path, f"models/tests--{'n' * letters}/{'8' * 40}/config.json"):
        with pytest.raises(VerificationError, match="has a file name longer than 250 bytes") as caught:
            read(tmp_path, good(ITS_FILE, path=path))
        assert "store export" in caught.value.hint


def test_the_longest_name_is_kept(tmp_path: Path) -> None:
    entry = wheel_entry(f"{'n' * 246}.whl", sha256(BETA), len(BETA))
    assert read(tmp_path, written(tmp_path, {entry: BETA})) == {entry.path: BETA}


@pytest.mark.parametrize("manifest", [b"[" * 200_000, b'{"files":' + b"[" * 500 + b"]" * 500 + b"}"])
def test_a_manifest_that_is_nested_too_deep(manifest: bytes, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="nested more than 100 deep"):
        read(tmp_path, tar_of(a_file(MANIFEST, manifest)))


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
