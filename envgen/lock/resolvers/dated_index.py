"""A local package index that shows indexes as of an instant, for resolvers without upload-time support.

It lists a package's wheels from the index the package is mapped to, and only those uploaded before the cutoff. Clients
need no credentials, proxy or CA, and no wheels: core metadata is served separately (PEP 658 and 714).
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfileobj
from urllib.parse import quote, unquote

from envgen.core.requirements import with_readable_requirements
from envgen.lock.resolvers import ResolveRequest
from envgen.sources import IndexFile, Packages
from envgen.sources.wheel import WHEEL_FILE

_PAGE = "application/vnd.pypi.simple.v1+json"
_FILE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedIndex:
    """The contents of the indexes for a request; independent of HTTP."""

    query: ResolveRequest
    packages: Packages

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """The wheels of `package` uploaded before its cutoff. Raises IndexUnavailableError."""
        files = self.packages.files(self.query.index_of(package), package)
        return tuple(file for file in files if WHEEL_FILE.fullmatch(file.filename) and self._was_there(file, package))

    def _was_there(self, file: IndexFile, package: str) -> bool:
        if not self.query.publishes_times(package):
            return True
        return file.uploaded is not None and file.uploaded < self.query.cutoff(package)


class DatedIndexServer(ThreadingHTTPServer):
    """The server; `failure` is the first error from the indexes behind it."""

    def __init__(self, sight: DatedIndex) -> None:
        super().__init__(("127.0.0.1", 0), _IndexHandler)
        self.sight = sight
        self.failure: Exception | None = None
        self.root = f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """The URL of the index, for pip's `--index-url`."""
        return f"{self.root}/simple/"

    def answer(self, path: str) -> tuple[str, bytes | Path] | None:
        """The content type and content for a URL path, None if not found."""
        match [unquote(part) for part in path.split("/")]:
            case ["", "simple", package, ""]:
                files = self.sight.files(package)
                return (_PAGE, self._page(package, files)) if files else None
            case ["", "file", package, name]:
                for file in self.sight.files(package):
                    if name == f"{file.filename}.metadata":
                        return _FILE, with_readable_requirements(self.sight.packages.metadata(file))
                    if name == file.filename:
                        return _FILE, self.sight.packages.add(file, file.sha256)[0]
        return None

    def _page(self, package: str, files: tuple[IndexFile, ...]) -> bytes:
        entries = [
            {
                "filename": file.filename,
                "url": f"{self.root}/file/{quote(package)}/{quote(file.filename)}",
                "hashes": {"sha256": file.sha256} if file.sha256 else {},
                "requires-python": file.requires_python,
                "yanked": file.yanked,
                # Announced for all files, fetched on request.
                "core-metadata": True,
            }
            for file in files
        ]
        return json.dumps({"meta": {"api-version": "1.0"}, "name": package, "files": entries}).encode()


class _IndexHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DatedIndexServer  # narrows the type in the base class

    def do_GET(self) -> None:
        # A stopped resolver closes the connection.
        with suppress(ConnectionError):
            self._respond()

    def _respond(self) -> None:
        # After a failure the resolver's result is useless: refuse every request until it gives up.
        if self.server.failure:
            return self._refuse(HTTPStatus.FORBIDDEN)
        try:
            answer = self.server.answer(self.path.partition("?")[0])
        except Exception as error:  # raised later, by the caller of the resolver
            self.server.failure = self.server.failure or error
            return self._refuse(HTTPStatus.FORBIDDEN)
        if answer is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        kind, content = answer
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if isinstance(content, bytes) else content.stat().st_size))
        self.end_headers()
        if isinstance(content, bytes):
            self.wfile.write(content)
        else:
            with content.open("rb") as stream:
                copyfileobj(stream, self.wfile)
        return None

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        """Logs nothing: only the command line prints."""


@contextmanager
def serve(sight: DatedIndex) -> Iterator[DatedIndexServer]:
    """Serves `sight` while the context lasts."""
    with DatedIndexServer(sight) as view:
        thread = threading.Thread(target=view.serve_forever, kwargs={"poll_interval": 0.05}, name="index view", daemon=True)
        thread.start()
        try:
            yield view
        finally:
            view.shutdown()
            thread.join()
