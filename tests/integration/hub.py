"""A small hub of models on loopback that speaks as much of the hub's API as its own client asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "hf_this-is-the-token-of-the-tests"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A model at one commit; `revisions` are the names that the commit has. A gated one shows its list of files, and no file."""

    folder: Path
    commit: str
    revisions: tuple[str, ...]
    gated: bool = False

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in sorted(self.folder.iterdir())}


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
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
    """The hub. Every repository wants the token."""

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories = repositories
        self.requests: list[Request] = []

    def reply(self, request: Request) -> Reply:
        if request.authorization != f"Bearer {TOKEN}":
            return refusal(401, "RepoNotFound", "Repository not found")
        parts = request.path.removeprefix("/api/models").strip("/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.repositories.get(name)
        if repository is None:
            return refusal(404, "RepoNotFound", "Repository not found")
        if request.path.startswith("/api/models/"):
            return self.about(name, repository, rest)
        return self.file(name, repository, rest)

    def about(self, name: str, repository: Repository, rest: list[str]) -> Reply:
        """/api/models/ORG/NAME/revision/REVISION tells the commit and its files, …/tree/REVISION the files with their sizes."""
        kind, *parts = rest or ["revision", "main"]
        revision = "/".join(parts)
        if revision not in (repository.commit, *repository.revisions):
            return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repository.files()
        answer: object = {
            "id": name,
            "sha": repository.commit,
            "private": True,
            "gated": "auto" if repository.gated else False,
            "siblings": [{"rfilename": file} for file in files],
        }
        if kind == "tree":
            answer = [
                {"type": "file", "path": file, "size": path.stat().st_size, "oid": hashlib.sha1(path.read_bytes()).hexdigest()}
                for file, path in files.items()
            ]
        return Reply(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(answer).encode())

    def file(self, name: str, repository: Repository, rest: list[str]) -> Reply:
        """/ORG/NAME/resolve/COMMIT/FILE: one file."""
        if repository.gated:
            return refusal(403, "GatedRepo", f"Access to model {name} is restricted and you are not in the authorized list.")
        path = repository.files().get(rest[-1])
        if rest[:2] != ["resolve", repository.commit] or path is None:
            return refusal(404, "EntryNotFound", "Entry not found")
        body = path.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        return Reply(status=200, headers={"X-Repo-Commit": repository.commit, "ETag": etag}, body=body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        request = Request(method=self.command, path=self.path.partition("?")[0], authorization=self.headers.get("Authorization", ""))
        self.server.requests.append(request)
        reply = self.server.reply(request)
        with suppress(ConnectionError):
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(reply.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that the base class gives it)
        """The tests' output is for the tests."""


@contextmanager
def serve(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """The hub, running as long as the context lasts."""
    with Hub(repositories) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
