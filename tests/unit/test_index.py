"""envgen.sources.index: what an index says is one thing, in whatever form it says it."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from samples import INDEX, Server, client_for, make_wheel

from envgen.core.errors import FileGoneError, IndexUnavailableError, ResolutionError, UsageError
from envgen.sources import IndexFile
from envgen.sources.index import default_url

A, B = "a" * 64, "b" * 64
PAGE = f"{INDEX}/demo/"
FILES = (
    IndexFile(
        index="default",
        filename="demo-1.0-py3-none-any.whl",
        url="https://files.example/demo-1.0-py3-none-any.whl",
        sha256=A,
        uploaded=dt.datetime(2026, 8, 1, 12, 30, 15, 123456, tzinfo=dt.UTC),
        requires_python=">=3.10,<4",
    ),
    IndexFile(
        index="default",
        filename="demo-1.0+cpu.1-py3-none-any.whl",
        url=f"{INDEX}/files/demo-1.0%2Bcpu.1-py3-none-any.whl",
        sha256=B,
        uploaded=dt.datetime(2026, 8, 2, tzinfo=dt.UTC),
        yanked=True,
        yanked_because="broken & <more>",
    ),
    IndexFile(index="default", filename="demo-0.9.tar.gz", url=f"{PAGE}demo-0.9.tar.gz", sha256=None),
)
JSON = {
    "meta": {"api-version": "1.1"},
    "files": [
        {
            "filename": "demo-1.0-py3-none-any.whl", "url": "https://files.example/demo-1.0-py3-none-any.whl", "hashes": {"sha256": A},
            "upload-time": "2026-08-01T12:30:15.123456Z", "requires-python": ">=3.10,<4", "yanked": False,
        },
        {
            "filename": "demo-1.0+cpu.1-py3-none-any.whl", "url": "../files/demo-1.0%2Bcpu.1-py3-none-any.whl",
            "hashes": {"sha256": B.upper()}, "upload-time": "2026-08-02T00:00:00", "yanked": "broken & <more>",
        },
        {"filename": "demo-0.9.tar.gz", "url": "demo-0.9.tar.gz", "hashes": {"md5": "c"}},
    ],
}  # fmt: skip
HTML = f"""<!DOCTYPE html><html><head><title>Links for demo</title></head><body>
<a href="https://files.example/demo-1.0-py3-none-any.whl#sha256={A}" data-requires-python="&gt;=3.10,&lt;4"
   data-upload-time="2026-08-01T12:30:15.123456Z">demo-1.0-py3-none-any.whl</a><br>
<A HREF='../files/demo-1.0%2Bcpu.1-py3-none-any.whl#sha256={B}'
   data-yanked="broken &amp; &lt;more>" data-upload-time='2026-08-02T00:00:00Z'>demo-1.0+cpu.1</A>
<a href=demo-0.9.tar.gz#md5=c>demo-0.9.tar.gz</a>
<a name="top">no link</a>
</body></html>"""


@pytest.fixture
def server() -> Server:
    return Server()


def test_json_is_read(server: Server, tmp_path: Path) -> None:
    server.page(PAGE, json.dumps(JSON))
    assert client_for(server, tmp_path).files("default", "demo") == FILES


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/vnd.pypi.simple.v1+html"])
def test_html_gives_the_same(server: Server, tmp_path: Path, kind: str) -> None:
    server.page(PAGE, HTML, kind)
    assert client_for(server, tmp_path).files("default", "demo") == FILES


def test_a_base_in_the_head_is_honoured(server: Server, tmp_path: Path) -> None:
    server.page(PAGE, '<html><head><base href="https://cdn.example/x/"></head><a href="d-1-py3-none-any.whl">d</a></html>', "text/html")
    assert client_for(server, tmp_path).files("default", "demo")[0].url == "https://cdn.example/x/d-1-py3-none-any.whl"


def test_a_page_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    server.page(PAGE, json.dumps(JSON))
    client = client_for(server, tmp_path)
    assert client.files("default", "demo") is client.files("default", "demo")
    assert len(server.seen) == 1
    assert "application/vnd.pypi.simple.v1+json" in server.seen[0].headers["Accept"]


def test_an_unknown_package_has_no_files(server: Server, tmp_path: Path) -> None:
    assert client_for(server, tmp_path).files("default", "nothing") == ()


@pytest.mark.parametrize(
    ("body", "kind", "status", "problem"),
    [
        ("{", "application/json", 200, "found JSON that is no index page"),
        ("[]", "application/json", 200, "found JSON that is no index page"),
        ("{}", "application/json", 200, "found JSON that is no index page"),
        ('{"files": [1]}', "application/json", 200, "found JSON that is no index page"),
        ('{"files": [{"url": "x"}]}', "application/json", 200, "found JSON that is no index page"),
        ('{"files": [{"url": "x", "filename": "y", "upload-time": "soon"}]}', "application/json", 200, "found JSON that is no index page"),
        ('<a href="x" data-upload-time="soon">x</a>', "text/html", 200, "found HTML that is no index page"),
        ("hello", "text/plain", 200, "found content of type 'text/plain', expected an index page"),
        ("", "text/html", 500, "found status 500, expected 200"),
        ("", "text/html", 401, "found status 401: the index default requires credentials"),
        ("", "text/html", 403, "found status 403: the index default requires credentials"),
    ],
)
def test_no_usable_answer(server: Server, tmp_path: Path, body: str, kind: str, status: int, problem: str) -> None:
    server.page(PAGE, body, kind, status)
    with pytest.raises(IndexUnavailableError) as caught:
        client_for(server, tmp_path).files("default", "demo")
    assert caught.value.where == PAGE
    assert caught.value.problem.startswith(problem)


def test_no_answer_at_all(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise requests.ConnectionError(OSError(111, "Connection refused"))

    monkeypatch.setattr(Server, "send", fail)
    with pytest.raises(IndexUnavailableError, match=r"^index.example: no usable answer: ") as caught:
        client_for(server, tmp_path).files("default", "demo")
    assert "HTTPS_PROXY" in caught.value.hint


@pytest.mark.parametrize("digest", ["../../../../etc", "A" * 63, "", "g" * 64, f"{A}/.."])
def test_what_is_no_digest_is_none(server: Server, tmp_path: Path, digest: str) -> None:
    server.page(PAGE, json.dumps({"files": [{"filename": "a.whl", "url": "a.whl", "hashes": {"sha256": digest}}]}))
    assert client_for(server, tmp_path).files("default", "demo")[0].sha256 is None


def test_the_size_is_asked_of_the_server_when_it_is_not_said(server: Server, tmp_path: Path) -> None:
    server.page("https://files.example/a.whl", b"12345", "application/zip")
    server.answers["https://files.example/b.whl"] = (206, {"content-range": "bytes 0-0/77", "content-length": "1"}, b"1")
    client = client_for(server, tmp_path)
    # A server that knows no ranges sends it all, and says how much that is.
    assert client.size(IndexFile(index="default", filename="a.whl", url="https://files.example/a.whl", sha256=A)) == 5
    assert server.seen[-1].headers["Range"] == "bytes=0-0"
    assert client.size(IndexFile(index="default", filename="b.whl", url="https://files.example/b.whl", sha256=A)) == 77
    assert client.size(IndexFile(index="default", filename="a.whl", url="https://files.example/a.whl", sha256=A, size=7)) == 7


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_listed_and_not_there_is_gone(server: Server, tmp_path: Path, status: int) -> None:
    server.page("https://files.example/a.whl", b"", status=status)
    with pytest.raises(FileGoneError, match=r"^index default: lists a.whl, but does not have it"):
        client_for(server, tmp_path).size(IndexFile(index="default", filename="a.whl", url="https://files.example/a.whl", sha256=None))


def test_the_json_api_stands_beside_the_simple_one(server: Server, tmp_path: Path) -> None:
    server.page("https://index.example/pypi/demo/1.0%2Bcpu/json", "{}")
    client = client_for(server, tmp_path, {"ENVGEN_INDEX_FOLDER": str(tmp_path)}, own="https://own.example/whl")
    assert client.release("default", "demo", "1.0+cpu") == b"{}"
    assert client.release("default", "demo", "2.0") is None
    asked = len(server.seen)
    assert client.release("own", "demo", "1.0") is None
    assert client.release("folder", "demo", "1.0") is None
    assert len(server.seen) == asked


def test_what_is_no_metadata_is_taken_as_none(server: Server, tmp_path: Path) -> None:
    file = IndexFile(index="default", filename="a.whl", url="https://files.example/a.whl", sha256=A)
    assert client_for(server, tmp_path).metadata(file) is None
    server.page("https://files.example/a.whl.metadata", "<html>")
    assert client_for(server, tmp_path).metadata(file) is None
    server.page("https://files.example/a.whl.metadata", "Metadata-Version: 2.1\n")
    assert client_for(server, tmp_path).metadata(file) == b"Metadata-Version: 2.1\n"


@pytest.mark.parametrize("stream", [False, True])
def test_offline_nothing_is_asked_for_neither_whole_nor_as_a_stream(server: Server, tmp_path: Path, stream: bool) -> None:
    online = client_for(server, tmp_path)
    online._settings = replace(online._settings, offline=True)
    with pytest.raises(UsageError, match=r"^--offline: files.example would have to be asked$"):
        online.get("https://files.example/a.whl", "default", stream=stream)
    assert server.seen == []


@pytest.mark.parametrize(
    ("attribute", "yanked", "reason"),
    [("", False, None), ("data-yanked", True, None), ('data-yanked=""', True, None), ('data-yanked="why"', True, "why")],
)
def test_a_file_is_yanked_with_a_reason_or_without(
    server: Server, tmp_path: Path, attribute: str, yanked: bool, reason: str | None
) -> None:
    server.page(PAGE, f'<a href="demo-1.0-py3-none-any.whl#sha256={A}" {attribute}>demo</a>', "text/html")
    (file,) = client_for(server, tmp_path).files("default", "demo")
    assert (file.yanked, file.yanked_because) == (yanked, reason)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://own.example/simple/demo/", True),
        ("https://own.example/packages/demo.whl", True),
        ("https://own.example.evil.example/simple/demo/", False),
        ("https://own.example:444/simple/demo/", False),
        ("http://own.example/simple/demo/", False),
        ("https://other.example/demo.whl", False),
    ],
)
def test_credentials_go_to_their_own_server_and_nowhere_else(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, sent: bool
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    environ = {"ENVGEN_INDEX_OWN_USERNAME": "me", "ENVGEN_INDEX_OWN_PASSWORD": "secret"}
    client = client_for(server, tmp_path, environ, own="https://own.example/simple")
    client.get(url, "own")
    assert ("Authorization" in server.seen[-1].headers) is sent
    client.get(url, "default")
    assert "Authorization" not in server.seen[-1].headers


def test_credentials_do_not_go_along_to_where_a_server_leads(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    environ = {"ENVGEN_INDEX_OWN_USERNAME": "me", "ENVGEN_INDEX_OWN_PASSWORD": "secret"}
    client = client_for(server, tmp_path, environ, own="https://own.example/simple")
    for place in ("https://elsewhere.example/demo/", "https://own.example:444/simple/demo/", "http://own.example/simple/demo/"):
        server.seen.clear()
        server.answers["https://own.example/simple/demo/"] = (302, {"location": place}, b"")
        client.get("https://own.example/simple/demo/", "own")
        assert ["Authorization" in request.headers for request in server.seen] == [True, False]


def test_a_folder_may_stand_in_for_an_index(server: Server, tmp_path: Path) -> None:
    wheels = tmp_path / "a folder"
    wheels.mkdir()
    (wheels / "De_Mo-1.0-py3-none-any.whl").write_bytes(make_wheel("De-Mo"))
    (wheels / "other-1.0-py3-none-any.whl").write_bytes(b"")
    (wheels / "broken.whl").write_bytes(b"")
    for mirror in (str(wheels), wheels.as_uri()):
        client = client_for(server, tmp_path, {"ENVGEN_INDEX_OWN": mirror}, own="https://own.example")
        (file,) = client.files("own", "de-mo")
        assert (file.filename, file.size, file.uploaded) == ("De_Mo-1.0-py3-none-any.whl", len(make_wheel("De-Mo")), None)
        assert len(file.sha256) == 64
    assert server.seen == []


def test_a_mirror_that_is_not_there_is_said(server: Server, tmp_path: Path) -> None:
    client = client_for(server, tmp_path, {"ENVGEN_INDEX_OWN": str(tmp_path / "nowhere")}, own="https://own.example")
    with pytest.raises(ResolutionError, match=r"a mirror that is no folder and no URL"):
        client.files("own", "demo")


def test_the_mirror_comes_before_the_profile_and_the_default_last(server: Server, tmp_path: Path) -> None:
    client = client_for(
        server, tmp_path, {"ENVGEN_INDEX_OWN": "https://mirror.example/"}, own="https://own.example", two="https://two.example/"
    )
    assert client.location("own") == "https://mirror.example"
    assert client.location("two") == "https://two.example"
    assert default_url().startswith("https://")
    assert not default_url().endswith("/")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_an_upload_time_is_an_instant_in_every_zone(server: Server, tmp_path: Path, in_zone, zone: str) -> None:  # type: ignore[no-untyped-def]
    in_zone(zone)
    server.page(PAGE, json.dumps(JSON))
    assert client_for(server, tmp_path).files("default", "demo") == FILES
