"""envgen.sources.wheel_store and packages: nothing unverified gets into the store or out of it, and nothing half-written stays."""

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from samples import INDEX, Server, client_for, make_wheel

from envgen.core.errors import DiskFullError, EnvgenError, IndexUnavailableError, ResolutionError, VerificationError
from envgen.core.files import sha256_of
from envgen.sources import IndexClient, IndexFile, Packages, Wheel, WheelStore
from envgen.sources.wheel_store import check_space

NAME = "demo-1.0-py3-none-any.whl"
URL = f"{INDEX}/demo/{NAME}"
CONTENT = make_wheel("demo", requires=["numpy"])
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = IndexFile(index="default", filename=NAME, url=URL, sha256=DIGEST, size=len(CONTENT))
WHEEL = Wheel(name="demo", version="1.0", file=NAME, sha256=DIGEST, size=len(CONTENT), index="default", uploaded=None)


@pytest.fixture
def server() -> Server:
    found = Server()
    found.page(f"{INDEX}/demo/", f'<a href="{NAME}#sha256={DIGEST}">x</a>', "text/html")
    found.page(URL, CONTENT, "application/zip")
    return found


@pytest.fixture
def client(server: Server, tmp_path: Path) -> IndexClient:
    return client_for(server, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> WheelStore:
    return WheelStore(tmp_path / "store")


def left(folder: Path) -> list[str]:
    """The files in the store, without the locks that keep processes apart."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_wheel_comes_in_verified(store: WheelStore, client: IndexClient, tmp_path: Path) -> None:
    arrived: list[int] = []
    path, digest = Packages(client, store).add(FILE, DIGEST, arrived.append)
    assert (path, digest) == (tmp_path / "store" / DIGEST / NAME, DIGEST)
    assert path.read_bytes() == CONTENT
    assert sum(arrived) == len(CONTENT)
    assert path.stat().st_mode & 0o777 == 0o644
    assert left(tmp_path / "store") == [f"{DIGEST}/{NAME}"]


def test_a_wheel_that_is_here_is_not_fetched(store: WheelStore, client: IndexClient, server: Server) -> None:
    Packages(client, store).add(FILE, DIGEST)
    Packages(client, store).add(FILE, DIGEST)
    Packages(client, store).fetch([WHEEL])
    assert len(server.seen) == 1


def test_its_mode_does_not_depend_on_the_umask(store: WheelStore, client: IndexClient) -> None:
    before = os.umask(0o077)
    try:
        path, _ = Packages(client, store).add(FILE, DIGEST)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_wrong_hash_is_refused_and_leaves_nothing(store: WheelStore, client: IndexClient, server: Server, tmp_path: Path) -> None:
    server.page(URL, CONTENT[:-1] + b"x", "application/zip")
    with pytest.raises(VerificationError) as caught:
        Packages(client, store).add(FILE, DIGEST)
    assert f"expected {DIGEST}" in caught.value.problem
    assert caught.value.exit_code == 8
    assert left(tmp_path / "store") == []
    assert store.missing([WHEEL]) == (WHEEL,)


def test_what_is_longer_than_it_should_be_is_given_up(store: WheelStore, client: IndexClient, server: Server, tmp_path: Path) -> None:
    server.page(URL, CONTENT + b"x", "application/zip")
    with pytest.raises(VerificationError, match=f"sends more than the {len(CONTENT)} bytes"):
        Packages(client, store).add(FILE, DIGEST)
    assert left(tmp_path / "store") == []


@pytest.mark.parametrize("length", [None, "", "-1", "many"])
def test_a_wheel_of_which_nobody_says_how_long_it_is_is_not_begun(
    store: WheelStore, client: IndexClient, server: Server, tmp_path: Path, length: str | None
) -> None:
    server.answers[URL] = (200, {"content-length": length} if length is not None else {}, CONTENT)
    with pytest.raises(IndexUnavailableError, match="the server does not say how large the file is"):
        Packages(client, store).add(replace(FILE, size=None), None)
    assert left(tmp_path / "store") == []


def test_a_wheel_is_no_longer_than_its_server_says(store: WheelStore, client: IndexClient, server: Server, tmp_path: Path) -> None:
    server.answers[URL] = (200, {"content-length": "5"}, CONTENT)
    with pytest.raises(VerificationError, match="sends more than the 5 bytes that it has"):
        Packages(client, store).add(replace(FILE, size=None), None)
    assert server.seen[-1].headers["Accept-Encoding"] == "identity"
    assert left(tmp_path / "store") == []


def test_without_a_digest_the_file_is_taken_at_its_word(store: WheelStore, client: IndexClient) -> None:
    path, digest = Packages(client, store).add(FILE, None)
    assert (path.read_bytes(), digest) == (CONTENT, DIGEST)


def test_what_another_process_left_lying_around_is_no_hindrance(store: WheelStore, client: IndexClient, tmp_path: Path) -> None:
    partial = tmp_path / "store" / ".partial"
    partial.mkdir(parents=True)
    (partial / f"{DIGEST}.lock").write_text("12345\n", encoding="utf-8")
    (partial / "tmpabc123").write_bytes(CONTENT[:10])
    (tmp_path / "store" / DIGEST).mkdir()
    assert Packages(client, store).add(FILE, DIGEST)[0].read_bytes() == CONTENT


def test_what_is_on_its_way_is_never_taken_for_whole(store: WheelStore, tmp_path: Path) -> None:
    partial = tmp_path / "store" / ".partial"
    partial.mkdir(parents=True)
    (partial / NAME).write_bytes(CONTENT)
    assert store.missing([WHEEL]) == (WHEEL,)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (404, ResolutionError, f"^index default: lists {NAME}, but does not have it$"),
        (500, IndexUnavailableError, f"status 500 for {NAME}"),
    ],
)
def test_a_server_that_fails_leaves_nothing(
    store: WheelStore, client: IndexClient, server: Server, tmp_path: Path, status: int, kind: type[Exception], words: str
) -> None:
    server.page(URL, b"", "text/html", status)
    with pytest.raises(kind, match=words):
        Packages(client, store).add(FILE, DIGEST)
    assert left(tmp_path / "store") == []


def test_a_wheel_that_the_index_has_no_more_is_said(store: WheelStore, client: IndexClient, server: Server) -> None:
    server.page(f"{INDEX}/demo/", "<html></html>", "text/html")
    with pytest.raises(ResolutionError, match=rf"^index default \({INDEX}\): {NAME} is not there any more$"):
        Packages(client, store).fetch([WHEEL])


def test_an_index_can_not_make_us_read_files_of_this_machine(
    store: WheelStore, client: IndexClient, server: Server, tmp_path: Path
) -> None:
    secret = tmp_path / NAME
    secret.write_bytes(CONTENT)
    server.page(f"{INDEX}/demo/", f'<a href="{secret.as_uri()}#sha256={DIGEST}">x</a>', "text/html")
    with pytest.raises(ResolutionError, match=r"links to a file of this machine"):
        Packages(client, store).fetch([WHEEL])
    assert left(tmp_path / "store") == []


def test_a_folder_serves_too_and_is_verified_too(store: WheelStore, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    client = client_for(server, tmp_path, {"ENVGEN_INDEX_DEFAULT": str(folder)})
    Packages(client, store).fetch([WHEEL])
    assert left(tmp_path / "store") == [f"{DIGEST}/{NAME}"]
    (folder / NAME).write_bytes(CONTENT + b"x")
    with pytest.raises(VerificationError):
        Packages(client, WheelStore(tmp_path / "second")).fetch([WHEEL])


def test_a_file_that_left_its_folder_is_said(store: WheelStore, server: Server, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    client = client_for(server, tmp_path, {"ENVGEN_INDEX_DEFAULT": str(tmp_path / "mirror")})
    gone = IndexFile(index="default", filename=NAME, url=(tmp_path / "mirror" / NAME).as_uri(), sha256=DIGEST)
    with pytest.raises(ResolutionError, match=r"can't be read: No such file or directory"):
        Packages(client, store).add(gone, DIGEST)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the wheel store can't be written: Read-only")]
)
def test_a_disk_that_takes_no_more(
    store: WheelStore, client: IndexClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=words) as caught:
        Packages(client, store).add(FILE, DIGEST)
    assert "ENVGEN_CACHE" in caught.value.hint
    assert left(tmp_path / "store") == []


def test_an_interruption_leaves_nothing(store: WheelStore, client: IndexClient, tmp_path: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Packages(client, store).add(FILE, DIGEST, interrupt)
    assert left(tmp_path / "store") == []


def test_lent_wheels_are_there_as_long_as_they_are_needed(store: WheelStore, client: IndexClient) -> None:
    Packages(client, store).fetch([WHEEL])
    with store.linked_dirs({"libraries": [WHEEL], "empty": []}) as folders:
        assert [path.name for path in folders["libraries"].iterdir()] == [NAME]
        assert (folders["libraries"] / NAME).read_bytes() == CONTENT
        assert list(folders["empty"].iterdir()) == []
    assert not folders["libraries"].exists()
    assert store.path(DIGEST, NAME).is_file()


def test_a_damaged_wheel_is_not_lent_and_taken_out(store: WheelStore, client: IndexClient, tmp_path: Path) -> None:
    Packages(client, store).fetch([WHEEL])
    path = store.path(DIGEST, NAME)
    damaged = bytearray(CONTENT)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(bytes(damaged))
    with (
        pytest.raises(VerificationError, match=r"damaged, and taken out of the store") as caught,
        store.linked_dirs({"libraries": [WHEEL]}),
    ):
        pytest.fail("a damaged wheel was lent")
    assert caught.value.exit_code == 8
    assert not path.exists()
    assert left(tmp_path / "store") == []
    Packages(client, store).fetch([WHEEL])
    with store.linked_dirs({"libraries": [WHEEL]}) as folders:
        assert (folders["libraries"] / NAME).read_bytes() == CONTENT


def test_a_missing_wheel_is_not_lent(store: WheelStore) -> None:
    with pytest.raises(VerificationError, match=r"missing in the wheel store"), store.linked_dirs({"libraries": [WHEEL]}):
        pytest.fail("a missing wheel was lent")


def test_metadata_comes_from_the_wheel_when_the_index_has_none(store: WheelStore, client: IndexClient, server: Server) -> None:
    content = Packages(client, store).metadata(FILE)
    assert b"Requires-Dist: numpy" in content
    requests = len(server.seen)
    assert Packages(client, store).metadata(FILE) == content
    assert len(server.seen) == requests
    assert store.metadata_of(WHEEL) == content


def test_metadata_beside_the_wheel_saves_the_wheel(store: WheelStore, client: IndexClient, server: Server) -> None:
    server.page(f"{URL}.metadata", "Metadata-Version: 2.1\nName: demo\n")
    assert Packages(client, store).metadata(FILE) == b"Metadata-Version: 2.1\nName: demo\n"
    assert store.missing([WHEEL]) == (WHEEL,)


def test_what_is_no_wheel_is_said(store: WheelStore, client: IndexClient, server: Server) -> None:
    for content in (b"no zip", make_wheel("demo").replace(b"METADATA", b"METADATE")):
        server.page(URL, content, "application/zip")
        digest = hashlib.sha256(content).hexdigest()
        file = IndexFile(index="default", filename=NAME, url=URL, sha256=digest)
        with pytest.raises(VerificationError, match=r"not a wheel: no METADATA in it"):
            Packages(client, store).metadata(file)


def test_space_is_asked_for_before_anything_is_fetched(tmp_path: Path, client: IndexClient, server: Server) -> None:
    huge = Wheel(name="demo", version="1.0", file=NAME, sha256=DIGEST, size=1 << 60, index="default", uploaded=None)
    with pytest.raises(DiskFullError, match=r"GB free, expected at least 1152921504\.6 GB for the wheels"):
        Packages(client, WheelStore(tmp_path / "not" / "there" / "yet")).fetch([huge])
    assert server.seen == []
    check_space(tmp_path, 0, "nothing")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 3_000_000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_every_error_is_one_that_a_user_can_act_on(store: WheelStore, client: IndexClient, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way", encoding="utf-8")
    with pytest.raises(EnvgenError):
        Packages(client, store).add(FILE, DIGEST)


def test_what_an_index_does_not_say_is_asked_once(store: WheelStore, client: IndexClient, server: Server, tmp_path: Path) -> None:
    server.answers[URL] = (200, {"content-length": str(len(CONTENT))}, CONTENT)
    file = replace(FILE, size=None)
    assert Packages(client, store).size(file) == len(CONTENT)
    asked = len(server.seen)
    assert Packages(client_for(server, tmp_path), store).size(file) == len(CONTENT)
    assert len(server.seen) == asked


def test_without_a_digest_the_index_s_metadata_saves_the_wheel_too(store: WheelStore, client: IndexClient, server: Server) -> None:
    file = replace(FILE, sha256=None)
    server.page(f"{URL}.metadata", "Metadata-Version: 2.1\nName: demo\n")
    assert Packages(client, store).metadata(file) == b"Metadata-Version: 2.1\nName: demo\n"
    assert store.missing([WHEEL]) == (WHEEL,)
    assert Packages(client, store).sha256(file) == DIGEST
    assert store.missing([WHEEL]) == ()


def test_a_wheel_is_found_in_its_index(client: IndexClient) -> None:
    assert client.find(WHEEL).url == URL
    with pytest.raises(ResolutionError, match=r"demo-2.0-py3-none-any.whl is not there any more") as caught:
        client.find(replace(WHEEL, file="demo-2.0-py3-none-any.whl"), "small")
    assert caught.value.hint == "lock again: envgen lock small"
