"""envgen.sources.hub: what the hub says is checked, what it refuses is said with a cure, and the token is for it alone."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from samples import COMMIT, HUB, Server, hub_for, serve_model

from envgen.core.errors import EnvgenError, HubRefusedError, HubUnavailableError, UsageError, VerificationError
from envgen.core.settings import read_settings
from envgen.sources import Hub, HubName, LockedModelFiles
from envgen.sources import hub as hubs
from envgen.sources.models import HubFile

NAME = HubName(repo="tests/small", revision="main")
PINNED = HubName(repo="tests/small", revision=COMMIT)
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"t" * 50, "pytorch_model.bin": b"x", "README.md": b"y"}
REVISION = f"{HUB}/api/models/tests/small/revision/main"
TREE = f"{HUB}/api/models/tests/small/tree/{COMMIT}"
TOKEN = "hf_secret"


@pytest.fixture
def server() -> Server:
    found = Server()
    serve_model(found, FILES)
    return found


@pytest.fixture
def hub(server: Server, tmp_path: Path) -> Hub:
    return hub_for(server, tmp_path, HF_TOKEN=f" {TOKEN}\n")


def hub_file(name: str) -> HubFile:
    return HubFile(name=name, sha256=hashlib.sha256(FILES[name]).hexdigest(), size=len(FILES[name]))


def test_a_revision_is_a_commit(hub: Hub) -> None:
    assert hub.commit(NAME) == COMMIT


def test_a_revision_can_t_leave_its_place_in_the_address(hub: Hub, server: Server) -> None:
    with pytest.raises(HubRefusedError):
        hub.commit(HubName(repo="tests/small", revision="refs/pr/1"))
    assert server.seen[-1].url == f"{HUB}/api/models/tests/small/revision/refs%2Fpr%2F1"


def test_the_files_of_a_model_with_their_hashes(hub: Hub, server: Server) -> None:
    found = hub.repository(PINNED)
    assert found == LockedModelFiles(
        repo="tests/small", commit=COMMIT, files=tuple(hub_file(name) for name in ("config.json", "model.safetensors", "tokenizer.json"))
    )
    asked = [str(request.url) for request in server.seen]
    assert not [url for url in asked if url.endswith("model.safetensors")], "its hash is in the list"
    assert len([url for url in asked if "/tree/" in url]) == len(FILES) + 1, "all pages of it"
    assert {request.headers.get("Authorization") for request in server.seen} == {f"Bearer {TOKEN}"}
    assert {url.partition("/api")[0].partition("/tests")[0] for url in asked} == {HUB}, "and nobody else"


def test_it_is_asked_once(hub: Hub, server: Server) -> None:
    assert hub.repository(PINNED) is hub.repository(PINNED)
    assert len({request.url for request in server.seen}) == len(server.seen)


def test_a_file_is_received_verified(hub: Hub, server: Server) -> None:
    repository, stream, arrived = hub.repository(PINNED), io.BytesIO(), list[int]()
    hub.receive(repository, hub_file("model.safetensors"), stream, arrived.append)
    assert (stream.getvalue(), sum(arrived)) == (b"weights", 7)
    server.page(f"{HUB}/tests/small/resolve/{COMMIT}/model.safetensors", b"wrights")
    with pytest.raises(VerificationError) as caught:
        hub.receive(repository, hub_file("model.safetensors"), stream, arrived.append)
    expected = hashlib.sha256(b"weights").hexdigest()
    found = hashlib.sha256(b"wrights").hexdigest()
    assert str(caught.value) == f"hub:tests/small@{COMMIT}: model.safetensors: found sha256 {found}, expected {expected}"
    server.page(f"{HUB}/tests/small/resolve/{COMMIT}/model.safetensors", b"weights and more")
    with pytest.raises(VerificationError, match=r"hub hub.example sends more than the 7 bytes that it has"):
        hub.receive(repository, hub_file("model.safetensors"), stream, arrived.append)


REFUSALS: list[tuple[int, Mapping[str, str], str, str]] = [
    (404, {"X-Error-Code": "RevisionNotFound"}, "tests/small has no revision 'main'", ""),
    (401, {"X-Error-Code": "RepoNotFound"}, "the hub shows no model tests/small: the name is wrong, or it is private and", "set HF_TOKEN"),
    (401, {"X-Error-Message": "Invalid username or password."}, "the hub shows no model tests/small", "set HF_TOKEN"),
    (404, {}, "the hub shows no model tests/small", "set HF_TOKEN"),
    (403, {"X-Error-Code": "GatedRepo"}, "tests/small is a gated repository, and HF_TOKEN may not read it", "export HF_TOKEN="),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "does not take HF_TOKEN: it is wrong", "a read token"),
]


@pytest.mark.parametrize(("status", "headers", "problem", "hint"), REFUSALS)
def test_a_refusal_is_said_with_its_cure(
    hub: Hub, server: Server, status: int, headers: Mapping[str, str], problem: str, hint: str
) -> None:
    server.answers[REVISION] = (status, headers, b"")
    with pytest.raises(HubRefusedError) as caught:
        hub.commit(NAME)
    assert str(caught.value).startswith(f"hub hub.example: {problem}")
    assert hint in caught.value.hint
    assert TOKEN not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("url", "body", "problem"),
    [
        (REVISION, "<html>log in</html>", "found content of type 'text/html', expected JSON"),
        (REVISION, "[" * 100_000, "found content of type 'application/json', expected JSON"),
        (REVISION, "[]", "found no commit in its answer for hub:tests/small@main"),
        (REVISION, '{"sha": "main"}', "found no commit in its answer for hub:tests/small@main"),
        (REVISION, '{"sha": 3}', "found no commit in its answer for hub:tests/small@main"),
        (TREE, "{}", "found no list of files in its answer for "),
        (TREE, "[3]", "found no list of files in its answer for "),
        (TREE, json.dumps([{"type": "file", "path": "config.json", "size": 2}]), "has no safetensors, and no .bin either, at its top"),
        (TREE, json.dumps([{"type": "file", "path": "a.bin", "size": 2}]), "has no config.json at its top"),
        (TREE, json.dumps([{"type": "file", "path": path} for path in ("config.json", "a.bin")]), "without a size, or"),
        (
            TREE,
            json.dumps([{"type": "file", "path": path, "size": 1, "lfs": {"oid": "../x"}} for path in ("config.json", "a.bin")]),
            "or with a sha256 that is none",
        ),
        (TREE, json.dumps([{"type": "file", "path": path, "size": -1} for path in ("config.json", "a.bin")]), "without a size, or"),
        (TREE, json.dumps([{"type": "file", "path": path, "size": 1 << 40} for path in ("config.json", "a.bin")]), "expected at most"),
        (TREE, json.dumps([{"type": "file", "path": path, "size": 3} for path in ("config.json", "a.bin")]), "found 2 bytes, expected 3"),
    ],
)
def test_an_answer_that_is_none_is_refused(hub: Hub, server: Server, url: str, body: str, problem: str) -> None:
    server.page(f"{HUB}/tests/small/resolve/{COMMIT}/a.bin", b"xxx")
    server.page(url, body, "text/html" if body.startswith("<") else "application/json")
    with pytest.raises(EnvgenError) as caught:
        hub.commit(NAME)
        hub.repository(PINNED)
    assert problem in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_list_without_end_ends(hub: Hub, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "PAGES", 3)
    with pytest.raises(HubUnavailableError, match=r"the list of files of hub:tests/small@8c7bfcd4.* does not end"):
        hub.repository(PINNED)


@pytest.mark.parametrize("status", [429, 500, 503, 418])
def test_a_hub_that_fails_is_said_to(hub: Hub, server: Server, status: int) -> None:
    server.answers[REVISION] = (status, {}, b"")
    with pytest.raises(HubUnavailableError, match=f"hub hub.example: found status {status}, expected 200"):
        hub.commit(NAME)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"HF_ENDPOINT": "hub.example"}, "HF_ENDPOINT: found 'hub.example', expected an http(s) URL"),
        ({"HF_ENDPOINT": "ftp://hub.example"}, "HF_ENDPOINT: found 'ftp://hub.example', expected an http(s) URL"),
        ({"HF_ENDPOINT": "https://me:hunter2@hub.example"}, "HF_ENDPOINT: has credentials in it"),
        ({"HF_TOKEN": "hf_é"}, "HF_TOKEN: has characters that no token has"),
        ({"HF_TOKEN": "hf_a\nX-Other: b"}, "HF_TOKEN: has characters that no token has"),
    ],
)
def test_an_address_or_a_token_that_can_be_none_is_refused(environ: Mapping[str, str], problem: str, tmp_path: Path) -> None:
    hub = Hub(read_settings(environ, tmp_path))
    with pytest.raises(UsageError) as caught:
        hub.commit(NAME)
    assert str(caught.value) == problem


def test_without_a_network_it_is_not_asked(tmp_path: Path) -> None:
    hub = Hub(replace(read_settings({}, tmp_path), offline=True))
    with pytest.raises(UsageError, match=r"^--offline: the hub huggingface.co would have to be asked for hub:tests/small@main$"):
        hub.commit(NAME)


def test_settings_do_not_show_the_token(tmp_path: Path) -> None:
    assert TOKEN not in repr(read_settings({"HF_TOKEN": TOKEN}, tmp_path))
