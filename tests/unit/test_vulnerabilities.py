"""envgen.sources.vulnerabilities: what an index knows of a release, and what it does not say is not taken for none."""

import json
from pathlib import Path

import pytest
from samples import Server, client_for

from envgen.core.errors import IndexRefusedError, IndexUnavailableError
from envgen.sources.vulnerabilities import Vulnerability, known_vulnerabilities

URL = "https://index.example/pypi/demo/1.0/json"
ENTRY = {
    "aliases": ["CVE-2026-1"], "details": "long", "fixed_in": ["1.1", "2.0"], "id": "PYSEC-2026-1", "link": "https://osv.example/PYSEC-2026-1",
    "source": "osv", "summary": "reads too far", "withdrawn": None,
}  # fmt: skip
FOUND = Vulnerability(id="PYSEC-2026-1", aliases=("CVE-2026-1",), fixed_in=("1.1", "2.0"), summary="reads too far")


def ask(folder: Path, answer: object, status: int = 200) -> tuple[Vulnerability, ...] | None:
    server = Server()
    server.page(URL, answer if isinstance(answer, str) else json.dumps(answer), "application/json", status)
    return known_vulnerabilities(client_for(server, folder), "default", "demo", "1.0")


def release(*entries: object, version: str = "1.0") -> dict[str, object]:
    return {"info": {"version": version}, "vulnerabilities": list(entries)}


def test_the_entries_of_a_release(tmp_path: Path) -> None:
    assert ask(tmp_path, release(ENTRY)) == (FOUND,)
    assert ask(tmp_path, release(ENTRY, version="1.0.0")) == (FOUND,)
    assert ask(tmp_path, release()) == ()


def test_what_an_entry_may_leave_out(tmp_path: Path) -> None:
    bare = Vulnerability(id="X-1", aliases=(), fixed_in=(), summary="")
    assert ask(tmp_path, release({"id": "X-1"})) == (bare,)
    assert ask(tmp_path, release({"id": "X-1", "aliases": None, "fixed_in": None, "summary": None})) == (bare,)


def test_what_was_withdrawn_is_none(tmp_path: Path) -> None:
    assert ask(tmp_path, release({**ENTRY, "withdrawn": "2026-09-01T00:00:00Z"})) == ()


def test_one_that_two_databases_know_is_one(tmp_path: Path) -> None:
    other = {**ENTRY, "id": "GHSA-1", "aliases": ["CVE-2026-1"]}
    another = {**ENTRY, "id": "CVE-2026-1", "aliases": []}
    assert ask(tmp_path, release(ENTRY, other, another)) == (FOUND,)


@pytest.mark.parametrize(
    ("answer", "status"), [({"info": {"version": "1.0"}}, 200), ("not found", 404)], ids=["no such key", "no such API"]
)
def test_what_is_not_published_is_not_none(tmp_path: Path, answer: object, status: int) -> None:
    assert ask(tmp_path, answer, status) is None


@pytest.mark.parametrize(
    "answer",
    [
        "<html>Please log in</html>", "{", "[]", "null", "{}", {"info": {}}, {"info": {"version": "one"}}, {"info": {"version": 1}},
        release(1), release({"aliases": []}), {"info": {"version": "1.0"}, "vulnerabilities": 1}, release(ENTRY, version="2.0"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_answer_is_not_taken_for_one(tmp_path: Path, answer: object) -> None:
    with pytest.raises(IndexUnavailableError, match=r"^index default: JSON API, demo 1\.0: found "):
        ask(tmp_path, answer)


def test_an_index_that_refuses_or_fails(tmp_path: Path) -> None:
    with pytest.raises(IndexRefusedError):
        ask(tmp_path, "", 403)
    with pytest.raises(IndexUnavailableError, match="found status 500"):
        ask(tmp_path, "", 500)
