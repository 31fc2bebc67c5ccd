"""A loopback package index that shows the query's indexes as they stood at its instant, for a resolver that can't tell.

It lists a package's wheels from the one index that the package is mapped to, and only those uploaded in time. Whoever
asks it needs no credentials, proxy or CA, and no wheel: the core metadata of each is served beside it (PEP 658 and 714).
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
    """What the indexes of a query hold for it; knows nothing of HTTP."""

    query: ResolveRequest
    packages: Packages

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """The wheels of `package` that were there at its cut-off. Raises IndexUnavailableError."""
        files = self.packages.files(self.query.index_of(package), package)
        return tuple(file for file in files if WHEEL_FILE.fullmatch(file.filename) and self._was_there(file, package))

    def _was_there(self, file: IndexFile, package: str) -> bool:
        if not self.query.publishes_times(package):
            return True
        return file.uploaded is not None and file.uploaded < self.query.cutoff(package)


class DatedIndexServer(ThreadingHTTPServer):
    """The server; `failure` is the first error that its own sources gave while it was asked."""

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
        """The content type and content for the path of a URL, None where there is nothing."""
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
                # Announced for all, fetched for those that are asked for.
                "core-metadata": True,
            }
            for file in files
        ]
        return json.dumps({"meta": {"api-version": "1.0"}, "name": package, "files": entries}).encode()


class _IndexHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DatedIndexServer  # the base class knows only of a server in general

    def do_GET(self) -> None:
        # A resolver that was stopped hangs up.
        with suppress(ConnectionError):
            self._respond()

    def _respond(self) -> None:
        # After a failure nothing that the resolver finds out counts, so it is turned away until it gives up.
        if self.server.failure:
            return self._refuse(HTTPStatus.FORBIDDEN)
        try:
            found = self.server.answer(self.path.partition("?")[0])
        except Exception as error:  # it belongs to whoever waits for the resolver, not to this thread
            self.server.failure = self.server.failure or error
            return self._refuse(HTTPStatus.FORBIDDEN)
        if found is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        kind, content = found
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """Nothing but the command line prints."""


@contextmanager
def serve(sight: DatedIndex) -> Iterator[DatedIndexServer]:
    """The server of what `sight` shows, running for as long as the context lasts."""
    with DatedIndexServer(sight) as view:
        thread = threading.Thread(target=view.serve_forever, kwargs={"poll_interval": 0.05}, name="index view", daemon=True)
        thread.start()
        try:
            yield view
        finally:
            view.shutdown()
            thread.join()
