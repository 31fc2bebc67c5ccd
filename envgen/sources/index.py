"""Client for package indexes: files of a package, their sizes and metadata, from a server or a folder."""

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from envgen.core.errors import FileGoneError, IndexRefusedError, IndexUnavailableError, ResolutionError, UsageError, VerificationError
from envgen.core.parallel import Memo
from envgen.core.progress import Advance
from envgen.core.settings import Settings, credentials_of, index_variable, mirror_of
from envgen.sources.index_pages import IndexFile, html_page, json_files, package_names
from envgen.sources.wheel import Wheel

if TYPE_CHECKING:
    import requests  # slow to import, and `envgen lock --check` uses no index

    from envgen.sources.http import Arrived

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
CONNECTIONS = 8
LIST = 2 << 20
"""The largest list of packages searched for name suggestions, in bytes."""


_NUMBER = re.compile(r"[0-9]{1,14}")
"""A number of bytes or seconds from a server."""


class IndexClient:
    """Client for the indexes of one run; thread-safe."""

    def __init__(self, settings: Settings, urls: Mapping[str, str]) -> None:
        """`urls` maps index names to URLs; `default` is optional."""
        self._settings = settings
        self._urls = urls
        # Several targets make the same requests at once: one sends them, the others wait.
        self._once = Memo().get

    def location(self, index: str) -> str:
        """The mirror of `index`, or its own URL, without a trailing slash."""
        return (mirror_of(self._settings, index) or self._urls.get(index) or default_url()).rstrip("/")

    def folder(self, index: str) -> Path | None:
        """The folder used for `index`, or None if it is a URL."""
        location = self.location(index)
        if location.startswith("file://"):
            return Path(unquote(urlsplit(location).path))
        return None if "://" in location else Path(location)

    @property
    def patience(self) -> float:
        """Seconds to wait for an index."""
        return self._settings.patience

    def credentials(self, index: str) -> tuple[str, str] | None:
        return credentials_of(self._settings, index)

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        """List all files of `package` (normalised) in `index`; empty if it is unknown there.

        Raises IndexUnavailableError without a usable answer after a few tries.
        """
        folder = self.folder(index)
        return self._once(
            ("files", index, package), lambda: tuple(_folder_files(folder, package, index) if folder else self._page(index, package))
        )

    def names(self, index: str) -> tuple[str, ...]:
        """List the packages of `index`, normalised, for name suggestions; empty if it has no list or a very long one.

        The default index is skipped unless it has a mirror, as its list has millions of bytes.
        """
        folder = self.folder(index)
        if folder:
            return tuple(sorted({path.name.partition("-")[0].replace("_", "-").lower() for path in folder.glob("*.whl")}))
        if index == "default" and not mirror_of(self._settings, index):
            return ()
        from requests import RequestException

        try:
            return self._once(("names", index), lambda: package_names(self._list(index)))
        except (ResolutionError, VerificationError, RequestException):
            return ()

    def _list(self, index: str) -> bytes:
        from envgen.sources.http import chunks, within

        with self.get(f"{self.location(index)}/", index, headers={"Accept": ACCEPT}, stream=True) as response:
            _expect_ok(response, self.location(index), index)
            return b"".join(within(chunks(response, self.patience), LIST, "list of packages", f"index {index}"))

    def find(self, wheel: Wheel, profile: str = "PROFILE") -> IndexFile:
        """Find the file of `wheel` in its index. Raises ResolutionError if it is gone, and as `files` does."""
        for file in self.files(wheel.index, wheel.name):
            if file.filename == wheel.file:
                return file
        where = f"index {wheel.index} ({self.location(wheel.index)})"
        raise ResolutionError(where, f"{wheel.file} is not there any more", hint=f"lock again: envgen lock {profile}")

    def prefetch(self, pages: Sequence[tuple[str, str]]) -> None:
        """Start reading pages, pairs of index and package, in the background; `files` reports their errors."""

        def read() -> None:
            for index, package in pages:
                # `files` raises the same error, and at interpreter exit nothing can handle one here.
                with suppress(Exception):
                    self.files(index, package)

        threading.Thread(target=read, daemon=True).start()

    def _page(self, index: str, package: str) -> Iterator[IndexFile]:
        url = f"{self.location(index)}/{package}/"
        response = self.get(url, index, headers={"Accept": ACCEPT})
        if response.status_code == 404:
            return iter(())
        _expect_ok(response, url, index, known=self.credentials(index) is not None)
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind.endswith("json"):
            return json_files(response.content, url, index)
        if kind in ("text/html", "application/vnd.pypi.simple.v1+html"):
            # Always UTF-8, whatever the declared charset: pages are ASCII, and some codecs do more than decode.
            return iter(html_page(response.content.decode(errors="replace"), url, index))
        raise IndexUnavailableError(url, f"found content of type {kind or 'none'!r}, expected an index page")

    def size(self, file: IndexFile) -> int:
        """The size of `file` in bytes, from its server if the index has none. Raises FileGoneError too."""
        if file.size is not None:
            return file.size
        return self._once(("size", file.url), lambda: self._asked_size(file))

    def _asked_size(self, file: IndexFile) -> int:
        # A request for the first byte reports the full size, and is far faster than HEAD through a proxy.
        with self.get(file.url, file.index, headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"}, stream=True) as response:
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if response.status_code == 206 and _NUMBER.fullmatch(total):
                response.content  # noqa: B018  (read to the end to reuse the connection)
                return int(total)
            if response.status_code in (404, 410):
                raise _gone(file)
            _expect_ok(response, file.url, file.index, known=self.credentials(file.index) is not None)
            return _size_of(file, response)

    def part(self, file: IndexFile, start: int, stop: int) -> bytes | None:
        """The bytes of `file` from `start` up to `stop`, None if its server supports no ranges. Raises FileGoneError too."""
        from envgen.sources.http import chunks, within

        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with self.get(file.url, file.index, headers=headers, stream=True) as response:
            if response.status_code in (404, 410):
                raise _gone(file)
            if response.status_code == 206:
                return b"".join(within(chunks(response, self.patience), stop - start, file.filename, f"index {file.index}"))
            if response.status_code != 416:
                _expect_ok(response, file.url, file.index, known=self.credentials(file.index) is not None)
            return None

    def metadata(self, file: IndexFile) -> bytes | None:
        """The core metadata that the index publishes for the wheel `file` (PEP 658), or None if it has none."""
        if file.url.startswith("file:"):
            return None
        return self._once(("metadata", file.url), lambda: self._asked_metadata(file))

    def _asked_metadata(self, file: IndexFile) -> bytes | None:
        response = self.get(f"{file.url}.metadata", file.index)
        # A server without PEP 658 may return anything; ignore what is not metadata.
        usable = response.status_code == 200 and response.content.startswith(b"Metadata-Version:")
        return response.content if usable else None

    def receive(self, file: IndexFile, stream: BinaryIO, advance: Advance) -> str:
        """Download `file` to `stream` and return its sha256 (hex), retrying a cut body a few times.

        Raises VerificationError as soon as it exceeds the size given by the index or its server.
        """
        from requests import RequestException

        from envgen.sources.http import ZIP, CutError, Download, receive_body

        body = Download(name=file.filename, size=file.size, origin=f"index {file.index}", patience=self.patience)
        try:
            return receive_body(body, lambda arrived: self._chunks(file, arrived), stream, advance)
        except CutError as error:
            if not error.arrived.head.startswith(ZIP):  # such as a login page: no use trying again
                problem = f"found sha256 {error.arrived.sha256}, expected {file.sha256 or 'a wheel'}"
                hint = f"the index {file.index}, its mirror or a proxy sends something else than a wheel"
                raise VerificationError(file.filename, problem, hint=hint) from error
            hint = "try again; where it is always cut, look at the proxy or the mirror between here and the index"
            raise IndexUnavailableError(f"{host_of(file.url)}: {file.filename}", str(error), hint=hint) from error
        except RequestException as error:
            cause = unavailable(file.url, error)
            raise IndexUnavailableError(f"{cause.where}: {file.filename}", cause.problem, hint=cause.hint) from error

    def _chunks(self, file: IndexFile, arrived: "Arrived") -> Iterator[bytes]:
        from envgen.sources.http import chunks, within

        if file.url.startswith("file:"):
            arrived.begin()
            yield from self._local_chunks(file)
            return
        # No compression: a wheel is compressed already, and a small response could unpack to a huge one.
        headers = {"Accept-Encoding": "identity", **arrived.headers()}
        with self.get(file.url, file.index, headers=headers, stream=True) as response:
            if response.status_code in (404, 410):
                raise _gone(file)
            arrived.answer(response)
            if response.status_code != 200 and not arrived.received:
                raise unavailable(file.url, OSError(f"status {response.status_code} for {file.filename}"))
            size = _size_of(file, response) - (arrived.received if file.size is not None else 0)
            yield from within(chunks(response, self.patience), size, file.filename, f"index {file.index}")

    def _local_chunks(self, file: IndexFile) -> Iterator[bytes]:
        folder = self.folder(file.index)
        if folder is None:
            raise ResolutionError(f"index {file.index} ({self.location(file.index)})", f"links to a file of this machine: {file.url}")
        try:
            with (folder / file.filename).open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    yield chunk
        except OSError as error:
            raise ResolutionError(str(folder / file.filename), f"can't be read: {error.strerror or error}") from error

    def release(self, index: str, package: str, version: str) -> bytes | None:
        """Read a release from the JSON API of `index`, or None if it has none.

        Raises IndexUnavailableError without a usable answer after a few tries.
        """
        root = self.location(index).removesuffix("/simple")
        if self.folder(index) or root == self.location(index):
            return None
        url = f"{root}/pypi/{package}/{quote(version)}/json"
        response = self.get(url, index, headers={"Accept": "application/json"})
        if response.status_code == 404:
            return None
        _expect_ok(response, url, index, known=self.credentials(index) is not None)
        return response.content

    def _session(self) -> "requests.Session":
        from envgen.sources.http import make_session

        # Created on first use, so resolvers need not wait for the CA certificates.
        session: requests.Session = self._once(("session",), lambda: make_session(self._settings, CONNECTIONS))
        return session

    def get(self, url: str, index: str, *, headers: Mapping[str, str] | None = None, stream: bool = False) -> "requests.Response":
        """Send a GET request with bounded retries.

        Raises IndexUnavailableError without an answer, and UsageError offline.
        """
        if self._settings.offline:
            problem = f"{urlsplit(url).netloc.rpartition('@')[2]} would have to be asked"
            raise UsageError("--offline", problem, hint="fetch it first: envgen fetch PROFILE, or envgen smoke PROFILE --model …")
        import requests

        from envgen.sources.http import ask

        # Credentials are only for the index's own server; files may be on another.
        own = urlsplit(url)[:2] == urlsplit(self.location(index))[:2]
        pair = self.credentials(index) if own else None
        # As bytes: requests would encode them as latin-1, but uv and servers use UTF-8 (RFC 7617).
        auth = (pair[0].encode(), pair[1].encode()) if pair else None
        try:
            return ask(self._session(), url, patience=self.patience, stream=stream, headers=headers, auth=auth)
        except requests.RequestException as error:
            raise unavailable(url, error) from error


def default_url() -> str:
    """The URL of the default index, as built into pip."""
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url).rstrip("/")


def _gone(file: IndexFile) -> FileGoneError:
    """The error for a `file` that an index lists but does not have."""
    return FileGoneError(f"index {file.index}", f"lists {file.filename}, but does not have it", hint="lock again: envgen lock PROFILE")


def host_of(url: str) -> str:
    """The host and port of `url`, without credentials."""
    return urlsplit(url).netloc.rpartition("@")[2]


def unavailable(url: str, error: Exception) -> IndexUnavailableError:
    """The error for a request to `url` that failed with `error`."""
    reason = _root_cause(error)
    return IndexUnavailableError(
        host_of(url), f"no usable answer: {reason}", hint="check the network, the proxy (HTTPS_PROXY) and the CA (SSL_CERT_FILE)"
    )


def _root_cause(error: BaseException) -> str:
    """The text of the innermost error, without Python object addresses."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(reason, BaseException):
        return _root_cause(reason)
    return str(reason or error).partition(" object at 0x")[2].partition(": ")[2] or str(reason or error)


def _size_of(file: IndexFile, response: "requests.Response") -> int:
    """The size of `file` in bytes, from its index or Content-Length. Raises IndexUnavailableError."""
    if file.size is not None:
        return file.size
    length = response.headers.get("content-length", "")
    if not _NUMBER.fullmatch(length):
        raise IndexUnavailableError(file.url, "the server does not say how large the file is")
    return int(length)


def credentials_hint(index: str) -> str:
    """How to set the credentials of `index`."""
    variable = f"ENVGEN_{index_variable(index)}"
    return f"set {variable}_USERNAME and {variable}_PASSWORD, or use ~/.netrc"


def _expect_ok(response: "requests.Response", url: str, index: str, *, known: bool = False) -> None:
    """Raise IndexRefusedError or IndexUnavailableError unless the status is 200; `known` is whether credentials were sent."""
    if response.status_code in (401, 403):
        words = "refuses the credentials it was given" if known else "requires credentials"
        raise IndexRefusedError(url, f"found status {response.status_code}: the index {index} {words}", hint=credentials_hint(index))
    if response.status_code != 200:
        seconds = response.headers.get("Retry-After", "")
        when = f", and to be left alone for {seconds} s" if _NUMBER.fullmatch(seconds) else ""
        raise IndexUnavailableError(url, f"found status {response.status_code}{when}, expected 200", hint="try again later")


def _folder_files(folder: Path, package: str, index: str) -> Iterator[IndexFile]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if not folder.is_dir():
        raise ResolutionError(str(folder), "a mirror that is no folder and no URL", hint="correct the ENVGEN_INDEX_… variable")
    for path in sorted(folder.glob("*.whl")):
        try:
            name = parse_wheel_filename(path.name)[0]
        except InvalidWheelFilename:
            continue
        if name == package:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            yield IndexFile(index=index, filename=path.name, url=path.absolute().as_uri(), sha256=digest, size=path.stat().st_size)
