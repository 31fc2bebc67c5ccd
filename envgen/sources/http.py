"""How servers are asked: a session with the machine's proxy and CA and one TLS context for all, and bounded tries."""

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
"""Seconds before the second try; each further wait is twice as long."""

TRIES = 5
"""How often one thing is asked for; only twice where each time lasts as long as our patience."""

BODY_TRIES = 3
"""How often a file is asked for whose body is cut off."""

CONNECT = 10.0
"""Seconds that a connection may take."""

PAGE = 100 << 20
"""Bytes that a page may have, unpacked; those of packages with thousands of releases have about 30 million."""

FLOOR = 1000
"""Bytes a second below which an answer is as good as none."""

CHUNK = 1 << 20
"""Bytes that are handed on at a time."""

_LATER = (429, 500, 502, 503, 504)
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""requests knows the first and the last only; uv and most others know SSL_CERT_FILE."""


class StalledError(ReadTimeout):
    """An answer comes, but so slowly that it may as well not."""


class TooLargeError(RequestException):
    """An answer has no end, or as good as none."""


ZIP = b"PK\x03\x04"
"""How a wheel begins, being a zip archive."""


class CutError(RequestException):
    """A body ends before it is whole; `arrived` is what there is of it."""

    def __init__(self, arrived: "Arrived", size: int) -> None:
        super().__init__(cut_short(arrived.received, size))
        self.arrived = arrived


class Attempts:
    """Counts how often something was asked for, and waits in between: longer each time, and altogether no longer than `patience`."""

    def __init__(self, patience: float, times: int = TRIES) -> None:
        self._left, self._slow = times - 1, 1
        self._pause, self._budget = BACKOFF, patience

    def again(self, error: Exception | None = None, asked: float = 0.0) -> bool:
        """Waits, at least for the seconds that the server has `asked` for; False at once when it is time to give up."""
        self._left -= 1
        self._slow -= isinstance(error, requests.Timeout)
        pause = max(self._pause, asked)
        if self._left < 0 or self._slow < 0 or pause > self._budget:
            return False
        time.sleep(pause)
        self._pause, self._budget = self._pause * 2, self._budget - pause
        return True


def ask(session: requests.Session, url: str, *, patience: float, stream: bool, **options: Any) -> Response:
    """The answer to one GET, whole unless it is to be a `stream`; what may be better in a moment is asked for again.

    Whoever says "not now" for the last time, or wants us to wait for longer than `patience` (seconds), is given back as
    the answer. Raises RequestException.
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
        except ValueError as error:  # an address to go on to that is none, which requests does not look at
            raise InvalidURL(f"it leads on to what is no address: {error}") from error
        if response.status_code not in _LATER or not tries.again(asked=retry_after(response)):
            return response
        response.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What is to arrive: a file's name, its size in bytes if that is known, who sends it, and our patience with them in seconds."""

    name: str
    size: int | None
    origin: str
    patience: float


class Arrived:
    """What has arrived of a file in `stream`, so that after a cut the rest alone is asked for, where the server can give it.

    `advance` is told of each number of bytes, and of a negative one when all begins anew.
    """

    def __init__(self, stream: BinaryIO, advance: Advance) -> None:
        self._stream, self._advance = stream, advance
        self._version = ""
        self.head, self.received, self._digest = b"", 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def headers(self) -> dict[str, str]:
        """What asks for the rest of the very file that began to arrive; nothing where that can't be said."""
        return {"Range": f"bytes={self.received}-", "If-Range": self._version} if self.received and self._version else {}

    def answer(self, response: Response) -> None:
        """Takes up `response`: the rest of the file where it is that, else the file from its beginning."""
        rest = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {self.received}-")
        if not (rest and self.received):
            self.begin()
            tag = response.headers.get("ETag", "")
            self._version = tag if tag.startswith('"') else ""  # a weak one may stand for other bytes

    def begin(self) -> None:
        """Forgets what has arrived."""
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
    """Writes what `request` gives, which is told what has arrived, to `stream`, and gives its sha256 (hex).

    A body that is cut off, or stalls, is asked for again, a few times. Raises VerificationError as soon as there is more of it than
    its size says, CutError when it ends too early the last time, RequestException when the last try fails.
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
    """As in `got 150 of 301 kB: the transfer was cut`."""
    found, whole = human_size(received), human_size(size)
    number, unit = found.split()
    return f"got {number if whole.endswith(f' {unit}') else found} of {whole}: the transfer was cut"


def within(pieces: Iterable[bytes], size: int | None, name: str, origin: str) -> Iterator[bytes]:
    """The `pieces` of a file. Raises VerificationError as soon as they have more than `size` bytes."""
    received = 0
    for piece in pieces:
        received += len(piece)
        if size is not None and received > size:
            hint = "is its address, or its mirror, the right one?"
            raise VerificationError(name, f"{origin} sends more than the {size} bytes that it has", hint=hint)
        yield piece


def chunks(response: Response, patience: float) -> Iterator[bytes]:
    """The body of `response`, unpacked, in large pieces. Raises RequestException, also where it comes too slowly."""
    began, arrived, piece = time.monotonic(), 0, bytearray()
    try:
        # `iter_content` would wait until a piece is whole, however slowly it fills.
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
            yield bytes(piece)  # what has arrived need not be asked for again
        raise requests.ConnectionError(error) from error


def retry_after(response: Response) -> float:
    """The seconds that a server asks us to wait, 0 where it does not; a date counts from now."""
    asked = response.headers.get("Retry-After")
    try:
        return Retry().parse_retry_after(asked) if asked else 0.0
    except (InvalidHeader, ValueError):  # ValueError: a number of thousands of digits
        return 0.0


def _read(response: Response, patience: float) -> None:
    """Puts the whole body, unpacked, in place of what is still to come."""
    body = bytearray()
    with response:
        for chunk in chunks(response, patience):
            body += chunk
            if len(body) > PAGE:
                raise TooLargeError(f"the answer has more than {PAGE >> 20} MB")
    response.raw = HTTPResponse(io.BytesIO(body), preload_content=False)


def _drop_body(response: Response, **_options: object) -> None:
    """requests would read the body of a redirect to its end, however far that is."""
    if response.is_redirect:
        response.close()


class _Adapter(HTTPAdapter):
    """Reads the CA certificates once; requests reads them for every connection, which takes longer than the handshake."""

    def __init__(self, context: SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_maxsize=connections, pool_block=True)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context has it all; what requests would set here makes every connection read the certificates again."""


def make_session(settings: Settings, connections: int) -> requests.Session:
    """A session that so many threads may use at once. Raises UsageError for CA certificates that can't be read."""
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
