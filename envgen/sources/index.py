"""Asking indexes: the files of a package, their sizes and metadata, from a server or a folder."""

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
    import requests  # slow to import, and `envgen lock --check` asks no index

    from envgen.sources.http import Arrived

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
CONNECTIONS = 8
LIST = 2 << 20
"""Bytes of a list of packages that is looked through for the name that may be meant."""


_NUMBER = re.compile(r"[0-9]{1,14}")
"""A number of bytes or seconds as a server may say it."""


class IndexClient:
    """Reads the indexes of one run; safe to use from several threads."""

    def __init__(self, settings: Settings, urls: Mapping[str, str]) -> None:
        """`urls` maps an index's name to its URL; `default` may be left out."""
        self._settings = settings
        self._urls = urls
        # Several targets ask the same at the same time: one asks the index, the others wait for it.
        self._once = Memo().get

    def location(self, index: str) -> str:
        """The URL or folder that stands for `index` here: its mirror, else its own URL, without a slash at the end."""
        return (mirror_of(self._settings, index) or self._urls.get(index) or default_url()).rstrip("/")

    def folder(self, index: str) -> Path | None:
        """The folder that stands in for `index`, or None where it is a URL."""
        location = self.location(index)
        if location.startswith("file://"):
            return Path(unquote(urlsplit(location).path))
        return None if "://" in location else Path(location)

    @property
    def patience(self) -> float:
        """Seconds that an index may keep us waiting."""
        return self._settings.patience

    def credentials(self, index: str) -> tuple[str, str] | None:
        return credentials_of(self._settings, index)

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        """All files of `package` (its normalised name) in `index`, none where the index does not know it.

        Raises IndexUnavailableError when the index gives no usable answer after a few tries.
        """
        folder = self.folder(index)
        return self._once(
            ("files", index, package), lambda: tuple(_folder_files(folder, package, index) if folder else self._page(index, package))
        )

    def names(self, index: str) -> tuple[str, ...]:
        """The packages that `index` lists, normalised, for the one that may be meant; none where it has no list, or a very long one.

        The default index is not asked unless a mirror stands for it: its list has millions of bytes.
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
        """The file of `wheel` in its index. Raises ResolutionError for one that is gone, and as `files` does."""
        for file in self.files(wheel.index, wheel.name):
            if file.filename == wheel.file:
                return file
        where = f"index {wheel.index} ({self.location(wheel.index)})"
        raise ResolutionError(where, f"{wheel.file} is not there any more", hint=f"lock again: envgen lock {profile}")

    def prefetch(self, pages: Sequence[tuple[str, str]]) -> None:
        """Begins to read pages, each an index and a package, that `files` will be asked for; it also has their errors."""

        def read() -> None:
            for index, package in pages:
                # Whatever it is: `files` meets it too, and when Python ends under this thread there is nobody to be told.
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
            # In UTF-8, whatever the server calls it: a page is ASCII, and some codecs do more than decode.
            return iter(html_page(response.content.decode(errors="replace"), url, index))
        raise IndexUnavailableError(url, f"found content of type {kind or 'none'!r}, expected an index page")

    def size(self, file: IndexFile) -> int:
        """The size of `file` in bytes, asked of its server where the index does not say. Raises FileGoneError too."""
        if file.size is not None:
            return file.size
        return self._once(("size", file.url), lambda: self._asked_size(file))

    def _asked_size(self, file: IndexFile) -> int:
        # The first byte says the whole size, and where files come through a proxy it is far quicker than HEAD.
        with self.get(file.url, file.index, headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"}, stream=True) as response:
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if response.status_code == 206 and _NUMBER.fullmatch(total):
                response.content  # noqa: B018  (read to its end, so that the connection can be used again)
                return int(total)
            if response.status_code in (404, 410):
                raise _gone(file)
            _expect_ok(response, file.url, file.index, known=self.credentials(file.index) is not None)
            return _size_of(file, response)

    def part(self, file: IndexFile, start: int, stop: int) -> bytes | None:
        """The bytes of `file` from `start` to before `stop`, None where its server does not give parts. Raises FileGoneError too."""
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
        """The core metadata that the index keeps beside the wheel `file` (PEP 658), or None where it has none."""
        if file.url.startswith("file:"):
            return None
        return self._once(("metadata", file.url), lambda: self._asked_metadata(file))

    def _asked_metadata(self, file: IndexFile) -> bytes | None:
        response = self.get(f"{file.url}.metadata", file.index)
        # A server without such files may answer anything; what is no metadata is taken as "none".
        usable = response.status_code == 200 and response.content.startswith(b"Metadata-Version:")
        return response.content if usable else None

    def receive(self, file: IndexFile, stream: BinaryIO, advance: Advance) -> str:
        """Writes `file` to `stream` and gives its sha256 (hex); a body that is cut off is asked for again, a few times.

        Raises VerificationError as soon as there is more of it than the index, or its server, says.
        """
        from requests import RequestException

        from envgen.sources.http import ZIP, CutError, Download, receive_body

        body = Download(name=file.filename, size=file.size, origin=f"index {file.index}", patience=self.patience)
        try:
            return receive_body(body, lambda arrived: self._chunks(file, arrived), stream, advance)
        except CutError as error:
            if not error.arrived.head.startswith(ZIP):  # a page that asks for a login, say: trying again is no cure
                problem = f"found sha256 {error.arrived.sha256}, expected {file.sha256 or 'a wheel'}"
                hint = f"the index {file.index}, its mirror or a proxy sends something else than a wheel"
                raise VerificationError(file.filename, problem, hint=hint) from error
            hint = "try again; where it is always cut, look at the proxy or the mirror between here and the index"
            raise IndexUnavailableError(f"{host_of(file.url)}: {file.filename}", str(error), hint=hint) from error
        except RequestException as error:
            found = unavailable(file.url, error)
            raise IndexUnavailableError(f"{found.where}: {file.filename}", found.problem, hint=found.hint) from error

    def _chunks(self, file: IndexFile, arrived: "Arrived") -> Iterator[bytes]:
        from envgen.sources.http import chunks, within

        if file.url.startswith("file:"):
            arrived.begin()
            yield from self._local_chunks(file)
            return
        # Unpacked, a small answer may be huge; and a wheel is packed already.
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
        """What the JSON API beside `index` says of one release, or None where it has none.

        Raises IndexUnavailableError when there is no usable answer after a few tries.
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

        # Made when first needed: a resolver need not wait until the CA certificates are read.
        session: requests.Session = self._once(("session",), lambda: make_session(self._settings, CONNECTIONS))
        return session

    def get(self, url: str, index: str, *, headers: Mapping[str, str] | None = None, stream: bool = False) -> "requests.Response":
        """The answer to one request, with bounded retries.

        Raises IndexUnavailableError when there is none, and UsageError where no network may be used.
        """
        if self._settings.offline:
            problem = f"{urlsplit(url).netloc.rpartition('@')[2]} would have to be asked"
            raise UsageError("--offline", problem, hint="fetch it first: envgen fetch PROFILE, or envgen smoke PROFILE --model …")
        import requests

        from envgen.sources.http import ask

        # Files may lie beside the pages, but credentials are for that server alone.
        own = urlsplit(url)[:2] == urlsplit(self.location(index))[:2]
        pair = self.credentials(index) if own else None
        # As bytes: requests would write letters as latin-1, where uv and servers take them for UTF-8 (RFC 7617).
        auth = (pair[0].encode(), pair[1].encode()) if pair else None
        try:
            return ask(self._session(), url, patience=self.patience, stream=stream, headers=headers, auth=auth)
        except requests.RequestException as error:
            raise unavailable(url, error) from error


def default_url() -> str:
    """The URL of the default index, as pip has it built in."""
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url).rstrip("/")


def _gone(file: IndexFile) -> FileGoneError:
    """What to raise when an index lists `file`, and does not have it."""
    return FileGoneError(f"index {file.index}", f"lists {file.filename}, but does not have it", hint="lock again: envgen lock PROFILE")


def host_of(url: str) -> str:
    """The host and port of `url`, without credentials."""
    return urlsplit(url).netloc.rpartition("@")[2]


def unavailable(url: str, error: Exception) -> IndexUnavailableError:
    """What to raise when `url` gave no answer because of `error`."""
    reason = _root_cause(error)
    return IndexUnavailableError(
        host_of(url), f"no usable answer: {reason}", hint="check the network, the proxy (HTTPS_PROXY) and the CA (SSL_CERT_FILE)"
    )


def _root_cause(error: BaseException) -> str:
    """The innermost reason in words, without Python's object addresses."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(reason, BaseException):
        return _root_cause(reason)
    return str(reason or error).partition(" object at 0x")[2].partition(": ")[2] or str(reason or error)


def _size_of(file: IndexFile, response: "requests.Response") -> int:
    """The size of `file` in bytes: as its index says, or else the server that sends it whole. Raises IndexUnavailableError."""
    if file.size is not None:
        return file.size
    length = response.headers.get("content-length", "")
    if not _NUMBER.fullmatch(length):
        raise IndexUnavailableError(file.url, "the server does not say how large the file is")
    return int(length)


def credentials_hint(index: str) -> str:
    """What helps where `index`, by its name, refuses."""
    variable = f"ENVGEN_{index_variable(index)}"
    return f"set {variable}_USERNAME and {variable}_PASSWORD, or use ~/.netrc"


def _expect_ok(response: "requests.Response", url: str, index: str, *, known: bool = False) -> None:
    """Raises IndexRefusedError or IndexUnavailableError; `known` is whether we gave credentials."""
    if response.status_code in (401, 403):
        words = "refuses the credentials it was given" if known else "requires credentials"
        raise IndexRefusedError(url, f"found status {response.status_code}: the index {index} {words}", hint=credentials_hint(index))
    if response.status_code != 200:
        asked = response.headers.get("Retry-After", "")
        when = f", and to be left alone for {asked} s" if _NUMBER.fullmatch(asked) else ""
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
