"""Reading indexes: the files of a package with hash, size and upload time, from JSON or HTML pages or a folder.

Both forms of the simple repository API are read (PEP 503 and 691), with upload times where they are published
(PEP 700 in JSON; `data-upload-time` in HTML, which some proxies send in place of JSON).
"""

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from envgen.errors import EnvgenError, IndexUnavailableError, ResolutionError
from envgen.settings import Settings, mirror_of

if TYPE_CHECKING:
    import requests  # slow to import, and `envgen lock --check` asks no index

T = TypeVar("T")
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
CONNECTIONS = 16
_ANCHOR = re.compile(r"""<a\s((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_BASE = re.compile(r"""<base\s[^>]*?href\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIMEOUT = (10.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a package as an index lists it.

    `size` (bytes) and `uploaded` are None, `sha256` (hex) and `requires_python` empty, where the index does not say.
    """

    filename: str
    url: str
    sha256: str
    size: int | None = None
    uploaded: dt.datetime | None = None
    yanked: bool = False
    requires_python: str = ""


class IndexClient:
    """Reads the indexes of one run; safe to use from several threads."""

    def __init__(self, settings: Settings, urls: Mapping[str, str]) -> None:
        """`urls` maps an index's name to its URL; `default` may be left out."""
        self._settings = settings
        self._urls = urls
        self._guard = threading.Lock()
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._answers: dict[tuple[str, ...], Any] = {}

    def location(self, index: str) -> str:
        """The URL or folder that stands for `index` here: its mirror, else its own URL, without a slash at the end."""
        return (mirror_of(self._settings, index) or self._urls.get(index) or default_url()).rstrip("/")

    def folder(self, index: str) -> Path | None:
        """The folder that stands in for `index`, or None where it is a URL."""
        location = self.location(index)
        if location.startswith("file://"):
            return Path(unquote(urlsplit(location).path))
        return None if "://" in location else Path(location)

    def credentials(self, index: str) -> tuple[str, str] | None:
        return self._settings.credentials.get(index)

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        """All files of `package` (its normalised name) in `index`, none where the index does not know it.

        Raises IndexUnavailableError when the index gives no usable answer after a few tries.
        """
        folder = self.folder(index)
        return self._once(
            ("files", index, package), lambda: tuple(_folder_files(folder, package) if folder else self._page(index, package))
        )

    def _once(self, key: tuple[str, ...], read: Callable[[], T]) -> T:
        """What `read` gives. Several targets ask the same at the same time: one asks the index, the others wait for it."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                self._answers[key] = read()
        answer: T = self._answers[key]
        return answer

    def prefetch(self, pages: Sequence[tuple[str, str]]) -> None:
        """Begins to read pages, each an index and a package, that `files` will be asked for; it also has their errors."""

        def read() -> None:
            for index, package in pages:
                with suppress(EnvgenError):
                    self.files(index, package)

        threading.Thread(target=read, daemon=True).start()

    def _page(self, index: str, package: str) -> Iterator[IndexFile]:
        url = f"{self.location(index)}/{package}/"
        response = self.get(url, index, headers={"Accept": ACCEPT})
        if response.status_code == 404:
            return iter(())
        _expect_ok(response, url)
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind.endswith("json"):
            return _json_files(response, url)
        if kind in ("text/html", "application/vnd.pypi.simple.v1+html"):
            try:
                return iter(list(_html_files(response.text, url)))
            except ValueError as error:
                raise IndexUnavailableError(url, f"found HTML that is no index page: {error}") from error
        raise IndexUnavailableError(url, f"found content of type {kind or 'none'!r}, expected an index page")

    def size(self, file: IndexFile, index: str) -> int:
        """The size of `file` in bytes, asked of its server where the index does not say."""
        if file.size is not None:
            return file.size
        return self._once(("size", file.url), lambda: self._asked_size(file, index))

    def _asked_size(self, file: IndexFile, index: str) -> int:
        response = self.get(file.url, index, method="HEAD")
        _expect_ok(response, file.url)
        if "content-length" not in response.headers:
            raise IndexUnavailableError(file.url, "the server does not say how large the file is")
        return int(response.headers["content-length"])

    def metadata(self, file: IndexFile, index: str) -> bytes | None:
        """The core metadata that the index keeps beside the wheel `file` (PEP 658), or None where it has none."""
        if file.url.startswith("file:"):
            return None
        return self._once(("metadata", file.url), lambda: self._asked_metadata(file, index))

    def _asked_metadata(self, file: IndexFile, index: str) -> bytes | None:
        response = self.get(f"{file.url}.metadata", index)
        # A server without such files may answer anything; what is no metadata is taken as "none".
        usable = response.status_code == 200 and response.content.startswith(b"Metadata-Version:")
        return response.content if usable else None

    def _session(self) -> "requests.Session":
        from envgen.transport import make_session

        # Made when first needed: a resolver need not wait until the CA certificates are read.
        session: requests.Session = self._once(("session",), lambda: make_session(self._settings, CONNECTIONS))
        return session

    def get(
        self, url: str, index: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, stream: bool = False
    ) -> "requests.Response":
        """The answer to one request, with bounded retries.

        Raises IndexUnavailableError when there is none.
        """
        import requests

        # Files may lie beside the pages, but credentials are for that server alone.
        own = urlsplit(url)[:2] == urlsplit(self.location(index))[:2]
        auth = self.credentials(index) if own else None
        try:
            return self._session().request(method, url, headers=headers, stream=stream, auth=auth, timeout=_TIMEOUT, allow_redirects=True)
        except requests.RequestException as error:
            raise unavailable(url, error) from error


def default_url() -> str:
    """The URL of the default index, as pip has it built in."""
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url).rstrip("/")


def unavailable(url: str, error: Exception) -> IndexUnavailableError:
    """What to raise when `url` gave no answer because of `error`."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    reason = _root_cause(error)
    return IndexUnavailableError(
        f"{host}", f"no usable answer: {reason}", hint="check the network, the proxy (HTTPS_PROXY) and the CA (SSL_CERT_FILE)"
    )


def _root_cause(error: BaseException) -> str:
    """The innermost reason in words, without Python's object addresses."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(reason, BaseException):
        return _root_cause(reason)
    return str(reason or error).partition(" object at 0x")[2].partition(": ")[2] or str(reason or error)


def _expect_ok(response: "requests.Response", url: str) -> None:
    if response.status_code in (401, 403):
        raise IndexUnavailableError(
            url, f"found status {response.status_code}: the index wants credentials",
            hint="set ENVGEN_INDEX_<NAME>_USERNAME and ENVGEN_INDEX_<NAME>_PASSWORD, or use ~/.netrc",
        )  # fmt: skip
    if response.status_code != 200:
        raise IndexUnavailableError(url, f"found status {response.status_code}, expected 200", hint="try again later")


def _json_files(response: "requests.Response", url: str) -> Iterator[IndexFile]:
    try:
        entries = response.json()["files"]
        return iter([_json_file(entry, url) for entry in entries])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexUnavailableError(url, f"found JSON that is no index page: {error}") from error


def _json_file(entry: Mapping[str, object], url: str) -> IndexFile:
    hashes, size, uploaded = entry.get("hashes"), entry.get("size"), entry.get("upload-time")
    return IndexFile(
        filename=str(entry["filename"]),
        url=urljoin(url, str(entry["url"])),
        sha256=_sha256(str(hashes.get("sha256", ""))) if isinstance(hashes, dict) else "",
        size=size if isinstance(size, int) else None,
        uploaded=_instant(uploaded) if isinstance(uploaded, str) else None,
        yanked=bool(entry.get("yanked")),
        requires_python=str(entry.get("requires-python") or ""),
    )


def _html_files(text: str, url: str) -> Iterator[IndexFile]:
    """The anchors of a PEP 503 page; a full HTML parser takes seconds for the page of a package with many releases."""
    base = _BASE.search(text)
    url = urljoin(url, unescape(base[1])) if base else url
    for anchor in _ANCHOR.finditer(text):
        values = {name.lower(): unescape("".join(texts)) for name, *texts in _ATTRIBUTE.findall(anchor[1])}
        if "href" not in values:
            continue
        target, _, fragment = values["href"].partition("#")
        # Joining takes longer than all the rest, and most pages have whole URLs.
        if not target.startswith(("https://", "http://")):
            target = urljoin(url, target)
        uploaded = values.get("data-upload-time")
        yield IndexFile(
            filename=unquote(target.partition("?")[0].rpartition("/")[2]),
            url=target,
            sha256=_sha256(fragment.removeprefix("sha256=")),
            uploaded=_instant(uploaded) if uploaded else None,
            yanked="data-yanked" in values,
            requires_python=values.get("data-requires-python", ""),
        )


def _sha256(text: str) -> str:
    """The digest, or nothing where an index has something else in its place: it becomes part of a path."""
    digest = text.lower()
    return digest if _DIGEST.fullmatch(digest) else ""


def _instant(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _folder_files(folder: Path, package: str) -> Iterator[IndexFile]:
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
            yield IndexFile(filename=path.name, url=path.absolute().as_uri(), sha256=digest, size=path.stat().st_size)
