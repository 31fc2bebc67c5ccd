"""envgen.sources.model_store: a model comes in verified, whole or not at all, and is read again before each use."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import COMMIT, HUB, Server, hub_for, serve_model

from envgen.cli.output import QuietReporter
from envgen.core.errors import DiskFullError, HubRefusedError, VerificationError
from envgen.sources import Hub, HubName, LockedModelFiles, ModelStore
from envgen.sources.model_store import create_once

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"t" * 50}
NAME = HubName(repo="tests/small", revision=COMMIT)


@pytest.fixture
def server() -> Server:
    found = Server()
    serve_model(found, FILES)
    return found


@pytest.fixture
def hub(server: Server, tmp_path: Path) -> Hub:
    return hub_for(server, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def repository(hub: Hub, server: Server) -> LockedModelFiles:
    found = hub.repository(NAME)
    server.seen.clear()
    return found


@pytest.fixture
def folder(store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server) -> Path:
    """The model in the store."""
    store.fetch(repository, hub, QuietReporter())
    server.seen.clear()
    return store.folder("tests/small", COMMIT)


def fetched(server: Server) -> list[str]:
    return sorted(str(request.url).rpartition("/")[2] for request in server.seen)


def test_a_model_comes_in_whole(folder: Path, store: ModelStore, repository: LockedModelFiles, tmp_path: Path) -> None:
    assert folder == tmp_path / "models" / "hub" / "tests--small" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert folder.with_name(f"{COMMIT}.sha256").read_bytes() == repository.listing
    assert store.verify(repository) == folder
    assert store.cached(NAME) == repository


def test_what_is_here_is_not_fetched(folder: Path, store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server) -> None:
    store.fetch(repository, hub, QuietReporter())
    assert fetched(server) == []


def test_what_is_not_here_is_not_verified(store: ModelStore, repository: LockedModelFiles) -> None:
    assert store.cached(NAME) is None
    with pytest.raises(VerificationError, match=r"tests--small/8c7bfcd4\w+: missing in the store of models"):
        store.verify(repository)


def test_a_wrong_file_leaves_no_model(store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server) -> None:
    server.page(f"{HUB}/tests/small/resolve/{COMMIT}/model.safetensors", b"wrights")
    with pytest.raises(VerificationError, match=r"model.safetensors: found sha256 "):
        store.fetch(repository, hub, QuietReporter())
    assert store.cached(NAME) is None
    assert not list(store.root.rglob("model.safetensors*"))
    server.seen.clear()
    serve_model(server, FILES)
    store.fetch(repository, hub, QuietReporter())
    assert "model.safetensors" in fetched(server)
    store.verify(repository)


def test_a_hub_that_ends_half_way_leaves_no_model(store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server) -> None:
    server.answers[f"{HUB}/tests/small/resolve/{COMMIT}/tokenizer.json"] = (404, {"X-Error-Code": "EntryNotFound"}, b"")
    with pytest.raises(HubRefusedError, match=r"lacks a file that its own list has"):
        store.fetch(repository, hub, QuietReporter())
    assert not store.folder("tests/small", COMMIT).exists()


def test_what_another_process_left_is_verified_before_it_counts(
    store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server
) -> None:
    partial = store.root / "hub" / "tests--small" / ".partial" / COMMIT
    partial.mkdir(parents=True)
    (partial / "config.json").write_bytes(FILES["config.json"])
    (partial / "tokenizer.json").write_bytes(b"half")
    (partial / "model.safetensors.part").write_bytes(b"we")
    (partial / "adapter_config.json").write_bytes(b"{}")
    store.fetch(repository, hub, QuietReporter())
    assert fetched(server) == ["model.safetensors", "tokenizer.json"]
    assert {path.name: path.read_bytes() for path in store.verify(repository).iterdir()} == FILES


def other_byte(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"wrights")


def one_less(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def one_more(folder: Path) -> None:
    (folder / "adapter_config.json").write_bytes(b"{}")


def one_deeper(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x.json").write_bytes(b"{}")


def a_link(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def a_folder(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def a_link_to_nothing(folder: Path) -> None:
    (folder / "added_tokens.json").symlink_to(folder.parent / "nothing")


def a_link_to_a_folder(folder: Path) -> None:
    (folder / "1_Pooling").symlink_to(folder.parent)


WEIGHTS = hashlib.sha256(b"weights").hexdigest()
CHANGES: list[tuple[Callable[[Path], None], str, str]] = [
    (other_byte, "model.safetensors", f"found sha256 {hashlib.sha256(b'wrights').hexdigest()}, expected {WEIGHTS}"),
    (one_less, "model.safetensors", f"found no file, expected sha256 {WEIGHTS}"),
    (one_more, "adapter_config.json", "found a file that is not among the model's"),
    (one_deeper, "sub/x.json", "found a file that is not among the model's"),
    (a_link_to_nothing, "added_tokens.json", "found a file that is not among the model's"),
    (a_link_to_a_folder, "1_Pooling", "found a file that is not among the model's"),
    (a_link, "model.safetensors", f"found no file, expected sha256 {WEIGHTS}"),
    (a_folder, "model.safetensors", f"found no file, expected sha256 {WEIGHTS}"),
]


@pytest.mark.parametrize(("change", "name", "problem"), CHANGES, ids=[change.__name__ for change, _, _ in CHANGES])
def test_what_was_changed_is_named_taken_out_and_fetched_anew(
    folder: Path, store: ModelStore, repository: LockedModelFiles, hub: Hub, server: Server,
    change: Callable[[Path], None], name: str, problem: str,
) -> None:  # fmt: skip
    change(folder)
    with pytest.raises(VerificationError) as caught:
        store.verify(repository)
    assert str(caught.value) == f"{folder / name}: {problem}: changed since it came, and taken out of the store"
    assert not folder.exists()
    store.fetch(repository, hub, QuietReporter())
    assert fetched(server) == ([name] if name in FILES else []), "what is right need not come again"
    assert {path.name: path.read_bytes() for path in store.verify(repository).iterdir() if path.is_file()} == FILES


@pytest.mark.parametrize("listing", [None, b"", b"x", b"\xff"], ids=["missing", "empty", "no list", "no text"])
def test_a_model_without_its_list_is_not_believed(folder: Path, store: ModelStore, listing: bytes | None) -> None:
    path = folder.with_name(f"{COMMIT}.sha256")
    path.unlink()
    if listing is not None:
        path.write_bytes(listing)
    assert store.cached(NAME) is None


def test_the_list_is_written_again(folder: Path, store: ModelStore, repository: LockedModelFiles, hub: Hub) -> None:
    folder.with_name(f"{COMMIT}.sha256").unlink()
    store.fetch(repository, hub, QuietReporter())
    assert store.cached(NAME) == repository


def test_a_store_that_can_t_be_written_says_so(tmp_path: Path, repository: LockedModelFiles, hub: Hub) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskFullError, match=r"the store of models can't be written: Not a directory"):
        ModelStore(tmp_path / "file").fetch(repository, hub, QuietReporter())


def test_what_is_made_is_whole_or_not_there(tmp_path: Path) -> None:
    final = tmp_path / "models" / "x"
    with pytest.raises(ValueError), create_once(final) as folder:
        assert folder
        (folder / "a").write_bytes(b"")
        raise ValueError
    assert not final.exists()
    with create_once(final) as folder:
        assert folder
        (folder / "b").write_bytes(b"")
    assert [path.name for path in final.iterdir()] == ["b"]
    with create_once(final) as folder:
        assert folder is None
