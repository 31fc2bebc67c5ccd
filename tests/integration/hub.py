"""A small hub of models on loopback that speaks as much of the hub's API as its own client asks for."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import unquote

PAGE = 3
"""Entries of a page; the real hub has a thousand."""

COMMIT = "8c7bfcd4a1c4bd1f2b0f0f3c5b9d1f4a6e7d8c9b"
TOKEN = "hf_this-is-the-token-of-the-tests"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A model at one commit; `revisions` are the names that the commit has. A gated one shows its list of files, and no file.

    Weights are in LFS: the list has their sha256, and they come from another host.
    """

    folder: Path
    commit: str
    revisions: tuple[str, ...]
    gated: bool = False

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir())}

    def entries(self) -> list[dict[str, object]]:
        """The list of files, with a folder in it."""
        found: list[dict[str, object]] = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "onnx"}]
        for name, path in self.files().items():
            content = path.read_bytes()
            entry: dict[str, object] = {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": name}
            if in_lfs(name):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            found.append(entry)
        return found


def in_lfs(name: str) -> bool:
    return name.endswith(".safetensors")


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    host: str
    path: str
    query: str
    authorization: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def refusal(status: int, code: str, message: str) -> Reply:
    """A refusal in the hub's own words: its client goes by these headers."""
    return Reply(status=status, headers={"X-Error-Code": code, "X-Error-Message": message}, body=json.dumps({"error": message}).encode())


class Hub(ThreadingHTTPServer):
    """The hub. Every repository wants the token.

    `changed` are contents that are served in place of a file's own; of a file in `stalled` half is sent, and the rest never.
    """

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.other_host = f"localhost:{self.server_port}"
        self.repositories = dict(repositories)
        self.changed: dict[str, bytes] = {}
        self.stalled: set[str] = set()
        self.released = threading.Event()
        self.requests: list[Request] = []

    def clear(self) -> None:
        """Makes nothing wrong any more, and forgets what was asked for."""
        self.changed.clear()
        self.stalled.clear()
        self.requests.clear()
        self.released.set()
        self.released = threading.Event()

    def reply(self, request: Request) -> Reply:
        parts = request.path.removeprefix("/api/models").strip("/").split("/")
        if request.host == self.other_host:
            return self.blob("/".join(parts[1:3]), parts[-1])
        if request.authorization != f"Bearer {TOKEN}":
            return refusal(401, "RepoNotFound", "Repository not found")
        name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.repositories.get(name)
        if repository is None:
            return refusal(404, "RepoNotFound", "Repository not found")
        if not request.path.startswith("/api/models/"):
            return self.file(name, repository, rest)
        if unquote("/".join(rest[1:])) not in (repository.commit, *repository.revisions):
            return refusal(404, "RevisionNotFound", "Invalid rev id")
        return self.page(repository, request) if rest[0] == "tree" else _json({"id": name, "sha": repository.commit})

    def page(self, repository: Repository, request: Request) -> Reply:
        """/api/models/ORG/NAME/tree/REVISION: the files, page by page; a mirror hands on the hub's own links."""
        first = int(request.query.partition("=")[2] or 0)
        entries = repository.entries()
        link = f'<https://huggingface.co{request.path}?cursor={first + PAGE}>; rel="next"'
        return _json(entries[first : first + PAGE], {"Link": link} if first + PAGE < len(entries) else {})

    def file(self, name: str, repository: Repository, rest: list[str]) -> Reply:
        """/ORG/NAME/resolve/COMMIT/FILE: one file."""
        if repository.gated:
            return refusal(403, "GatedRepo", f"Access to model {name} is restricted and you are not in the authorized list.")
        if rest[:2] != ["resolve", repository.commit] or rest[-1] not in repository.files():
            return refusal(404, "EntryNotFound", "Entry not found")
        if in_lfs(rest[-1]):
            return Reply(status=302, headers={"Location": f"http://{self.other_host}/blob/{name}/{rest[-1]}"})
        return self.blob(name, rest[-1])

    def blob(self, name: str, file: str) -> Reply:
        return Reply(status=200, body=self.changed.get(file) or self.repositories[name].files()[file].read_bytes())


def _json(content: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=200, headers={"Content-Type": "application/json", **(headers or {})}, body=json.dumps(content).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {"host": self.headers.get("Host", ""), "authorization": self.headers.get("Authorization", "")}
        request = Request(method=self.command, path=path, query=query, **headers)
        self.server.requests.append(request)
        reply = self.server.reply(request)
        with suppress(ConnectionError):
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.status == 200 and path.rpartition("/")[2] in self.server.stalled:
                self.wfile.write(reply.body[: len(reply.body) // 2])
                self.wfile.flush()
                self.server.released.wait()
                self.close_connection = True
            else:
                self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that the base class gives it)
        """The tests' output is for the tests."""


@contextmanager
def serve_small(folder: Path) -> Iterator[Hub]:
    """A hub with the embedded model, whose files it copies to `folder`, in an open and in a gated repository."""
    with as_file(files("envgen") / "smoke" / "models" / "embedded") as embedded:
        shutil.copytree(embedded, folder)
    small = Repository(folder=folder, commit=COMMIT, revisions=("main", "v1.0"))
    gated = Repository(folder=folder, commit=COMMIT, revisions=("main",), gated=True)
    with serve({"tests/small": small, "tests/gated": gated}) as found:
        yield found


@contextmanager
def serve(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """The hub, running as long as the context lasts."""
    with Hub(repositories) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.clear()
            hub.shutdown()
            thread.join()
