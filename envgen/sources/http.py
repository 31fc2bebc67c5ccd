"""HTTP requests with bounded retries, through the machine's proxy and CA, with one shared TLS context."""

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any, BinaryIO

import requests
from requests import RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL, ReadTimeout, TooManyRedirects
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry
from urllib3.util.ssl_ import create_urllib3_context

from envgen.core.errors import UsageError, VerificationError
from envgen.core.progress import Advance
from envgen.core.settings import Settings
from envgen.core.text import human_size

BACKOFF = 0.3
"""Seconds before the second try, doubled for each further one."""

TRIES = 5
"""How often a request is made; only twice if it times out."""

BODY_TRIES = 3
"""How often a file is requested if its body is cut off."""

CONNECT = 10.0
"""Seconds to wait for a connection."""

PAGE = 100 << 20
"""The largest page in bytes, decompressed; packages with thousands of releases have about 30 million."""

FLOOR = 1000
"""Bytes per second below which a response counts as stalled."""

CHUNK = 1 << 20
"""Bytes yielded at a time."""

_LATER = (429, 500, 502, 503, 504)
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""requests only supports the first and last; uv and most others support SSL_CERT_FILE."""


class StalledError(ReadTimeout):
    """A response is too slow to be of use."""


class TooLargeError(RequestException):
    """A response is too large, or endless."""


ZIP = b"PK\x03\x04"
"""The first bytes of a wheel, which is a zip archive."""


class CutError(RequestException):
    """A body ends early; `arrived` is what was received."""

    def __init__(self, arrived: "Arrived", size: int) -> None:
        super().__init__(cut_short(arrived.received, size))
        self.arrived = arrived


class Attempts:
    """Counts retries and waits between them, longer each time but at most `patience` seconds in total."""

    def __init__(self, patience: float, times: int = TRIES) -> None:
        self._left, self._slow = times - 1, 1
        self._pause, self._budget = BACKOFF, patience

    def again(self, error: Exception | None = None, asked: float = 0.0) -> bool:
        """Wait before a retry, for at least `asked` seconds; return False at once if none is left."""
        self._left -= 1
        self._slow -= isinstance(error, requests.Timeout)
        pause = max(self._pause, asked)
        if self._left < 0 or self._slow < 0 or pause > self._budget:
            return False
        time.sleep(pause)
        self._pause, self._budget = self._pause * 2, self._budget - pause
        return True


def ask(session: requests.Session, url: str, *, patience: float, stream: bool, **options: Any) -> Response:
    """Send a GET request, retrying temporary failures; the body is read unless `stream` is set.

    A "try later" response is returned when no retry is left, or when it asks for a longer wait than `patience` (seconds).
    Raises RequestException.
    """
    tries = Attempts(patience)
    while True:
        try:
            response = session.get(url, stream=True, timeout=(min(CONNECT, patience), patience), **options)
            if not stream:
                _read(response, patience)
        except RequestException as error:
            if isinstance(error, TooManyRedirects | InvalidURL | TooLargeError) or not tries.again(error):
                raise
            continue
        except ValueError as error:  # an invalid redirect target, which requests does not check
            raise InvalidURL(f"it leads on to what is no address: {error}") from error
        if response.status_code not in _LATER or not tries.again(asked=retry_after(response)):
            return response
        response.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file to download: its name, its size in bytes if known, its server, and the timeout in seconds."""

    name: str
    size: int | None
    origin: str
    patience: float


class Arrived:
    """The part of a file received in `stream`, to resume a cut download if the server supports it.

    `advance` gets the number of bytes of each write, and a negative one when the download restarts.
    """

    def __init__(self, stream: BinaryIO, advance: Advance) -> None:
        self._stream, self._advance = stream, advance
        self._version = ""
        self.head, self.received, self._digest = b"", 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def headers(self) -> dict[str, str]:
        """The headers to request the rest of the same file; empty if that is not possible."""
        return {"Range": f"bytes={self.received}-", "If-Range": self._version} if self.received and self._version else {}

    def answer(self, response: Response) -> None:
        """Prepare for the body of `response`: continue if it is the rest of the file, else start over."""
        rest = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {self.received}-")
        if not (rest and self.received):
            self.begin()
            tag = response.headers.get("ETag", "")
            self._version = tag if tag.startswith('"') else ""  # a weak one does not guarantee identical bytes

    def begin(self) -> None:
        """Discard what has arrived."""
        self._stream.seek(0)
        self._stream.truncate()
        if self.received:
            self._advance(-self.received)
        self.head, self.received, self._version, self._digest = b"", 0, "", hashlib.sha256()

    def write(self, piece: bytes) -> None:
        self._stream.write(piece)
        self._digest.update(piece)
        if len(self.head) < len(ZIP):
            self.head += piece[: len(ZIP)]
        self.received += len(piece)
        self._advance(len(piece))


def receive_body(body: Download, request: Callable[[Arrived], Iterator[bytes]], stream: BinaryIO, advance: Advance) -> str:
    """Write the body that `request` yields, given what has arrived, to `stream`; return its sha256 (hex).

    A body that is cut off or stalls is requested again, a few times. Raises VerificationError as soon as it exceeds its size,
    CutError if it still ends early on the last try, RequestException if the last try fails.
    """
    tries, arrived = Attempts(body.patience, BODY_TRIES), Arrived(stream, advance)
    arrived.begin()
    while True:
        try:
            for piece in request(arrived):
                if body.size is not None and arrived.received + len(piece) > body.size:
                    hint = "is its address, or its mirror, the right one?"
                    raise VerificationError(body.name, f"{body.origin} sends more than the {body.size} bytes that it has", hint=hint)
                arrived.write(piece)
            if body.size is None or arrived.received == body.size:
                return arrived.sha256
            raise CutError(arrived, body.size)
        except RequestException as error:
            if tries.again(error):
                continue
            if body.size and arrived.received and not isinstance(error, requests.Timeout):
                raise CutError(arrived, body.size) from error
            raise


def cut_short(received: int, size: int) -> str:
    """Describe a cut transfer, as in `got 150 of 301 kB: the transfer was cut`."""
    got, whole = human_size(received), human_size(size)
    number, unit = got.split()
    return f"got {number if whole.endswith(f' {unit}') else got} of {whole}: the transfer was cut"


def within(pieces: Iterable[bytes], size: int | None, name: str, origin: str) -> Iterator[bytes]:
    """Yield the `pieces` of a file. Raises VerificationError as soon as they exceed `size` bytes."""
    received = 0
    for piece in pieces:
        received += len(piece)
        if size is not None and received > size:
            hint = "is its address, or its mirror, the right one?"
            raise VerificationError(name, f"{origin} sends more than the {size} bytes that it has", hint=hint)
        yield piece


def chunks(response: Response, patience: float) -> Iterator[bytes]:
    """Yield the decompressed body of `response` in large pieces. Raises RequestException, also if it is too slow."""
    began, arrived, piece = time.monotonic(), 0, bytearray()
    try:
        # `iter_content` would wait for a full piece, however slowly it arrives.
        while some := response.raw.read1(CHUNK, decode_content=True):
            piece += some
            if len(piece) >= CHUNK:
                yield bytes(piece)
                piece.clear()
            arrived += len(some)
            passed = time.monotonic() - began
            if passed > patience:
                if arrived < FLOOR * passed:
                    raise StalledError(f"only {arrived} bytes in {passed:.0f} s")
                began, arrived = time.monotonic(), 0
        if piece:
            yield bytes(piece)
    except ReadTimeoutError as error:
        raise StalledError(f"nothing came for {patience:g} s") from error
    except HTTPError as error:
        if piece:
            yield bytes(piece)  # a retry can resume after it
        raise requests.ConnectionError(error) from error


def retry_after(response: Response) -> float:
    """The seconds to wait by Retry-After, which may be a date; 0 if it is missing or invalid."""
    header = response.headers.get("Retry-After")
    try:
        return Retry().parse_retry_after(header) if header else 0.0
    except (InvalidHeader, ValueError):  # ValueError: a number of thousands of digits
        return 0.0


def _read(response: Response, patience: float) -> None:
    """Read the whole body, decompressed, into memory."""
    body = bytearray()
    with response:
        for chunk in chunks(response, patience):
            body += chunk
            if len(body) > PAGE:
                raise TooLargeError(f"the answer has more than {PAGE >> 20} MB")
    response.raw = HTTPResponse(io.BytesIO(body), preload_content=False)


def _drop_body(response: Response, **_options: object) -> None:
    """Close redirects, as requests would read their body however long it is."""
    if response.is_redirect:
        response.close()


class _Adapter(HTTPAdapter):
    """Loads the CA certificates once; requests does so for every connection, which is slower than the handshake."""

    def __init__(self, context: SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_maxsize=connections, pool_block=True)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing, as the context is complete; requests would reload the certificates for every connection."""


def make_session(settings: Settings, connections: int) -> requests.Session:
    """Create a session for up to `connections` threads. Raises UsageError for unreadable CA certificates."""
    session = requests.Session()
    session.max_redirects = 10
    session.hooks["response"].append(_drop_body)
    adapter = _Adapter(_context(settings), connections)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def _context(settings: Settings) -> SSLContext:
    variable = next((name for name in _CA_VARIABLES if settings.network.get(name)), "")
    bundle = settings.network.get(variable) or DEFAULT_CA_BUNDLE_PATH
    context = create_urllib3_context()
    try:
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as error:
        raise UsageError(variable, f"found {bundle}, which holds no CA certificates: {error.strerror or error}") from error
    return context
