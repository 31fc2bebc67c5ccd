"""Servers on loopback: a real package index, and a proxy in front of it that answers wrongly where a test says so."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from command import wait_until

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a server answers at all."""
    # No proxy: the machine's own leads away from loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except (OSError, ValueError):
        return False


@contextmanager
def server(command: list[str], url: str, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that serves `url`; it has ended when the context does."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=os.environ | dict(env or {}), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: process.poll() is not None or answers(url), f"{command[0]} answers at {url}")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def index_of(folder: Path, log: Path) -> Iterator[str]:
    """A real index of the wheels in `folder` (one folder a package); gives its root, without /simple."""
    program = Path(sys.executable).parent / "simple-repository-server"
    found = str(program) if program.is_file() else shutil.which("simple-repository-server")
    assert found, "simple-repository-server is missing: pip install '.[test]'"
    root = f"http://{LOOPBACK}:{free_port()}"
    with server([found, str(folder), "--host", LOOPBACK, "--port", root.rpartition(":")[2]], f"{root}/simple/", log):
        yield root


Deliver = Callable[["Handler", bytes], None]
"""Sends a body its own way; one that takes its time ends when the faults are cleared."""


def at_once(handler: Handler, body: bytes) -> None:
    handler.wfile.write(body)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the index said when it was asked for `path`, or what is said in its place."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    deliver: Deliver = at_once
    path: str = ""


Fault = Callable[[Answer], Answer]
"""Makes another answer of the index's own."""


@dataclass
class Faults:
    """What the proxy does wrong; empty, it does nothing wrong.

    A fault holds for the paths that end with its suffix, for so many requests. `seen` counts the requests for each path,
    `authorized` those that came with credentials, `most` how many there were at the same time.
    """

    rules: list[tuple[str, Fault, int]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    authorized: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    _now: Counter[str] = field(default_factory=Counter)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, suffix: str, fault: Fault, *, times: int = 1_000_000) -> None:
        self.rules.append((suffix, fault, times))

    def stall(self, suffix: str) -> None:
        """Send half of the answer, and the other half never."""
        self.add(suffix, delivered(half))

    def clear(self) -> None:
        """Make nothing wrong any more; what was stalled is let go."""
        self.rules.clear()
        self.seen.clear()
        self.authorized.clear()
        self.most.clear()
        self.released.set()
        self.released = threading.Event()

    @contextmanager
    def counted(self, path: str, *, authorized: bool) -> Iterator[None]:
        """Counts a request that is answered as long as the context lasts."""
        with self._guard:
            self.seen[path] += 1
            self.authorized[path] += authorized
            self._now[path] += 1
            self.most[path] = max(self.most[path], self._now[path])
        try:
            yield
        finally:
            with self._guard:
                self._now[path] -= 1

    def apply(self, path: str, answer: Answer) -> Answer:
        for position, (suffix, fault, left) in enumerate(self.rules):
            if path.endswith(suffix) and left > 0:
                self.rules[position] = (suffix, fault, left - 1)
                return fault(answer)
        return answer

    def requests(self, suffix: str) -> int:
        """How many requests there were for paths that end so."""
        return sum(count for path, count in self.seen.items() if path.endswith(suffix))


class Proxy(ThreadingHTTPServer):
    """Hands each request to the real index, and its answer on, through the faults."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.upstream = upstream.rpartition("//")[2]
        self.root = f"http://{LOOPBACK}:{self.server_port}"
        self.url = f"{self.root}/simple"
        self.faults = Faults()

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """The index's own answer; where it has none, a 502 that says why, which no fault looks like."""
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            # The index makes its links from the name it was asked by, which is ours.
            upstream.request(method, path, headers={**headers, "Accept-Encoding": "identity"})
            answer = upstream.getresponse()
            body = answer.read()
        except OSError as error:
            return Answer(status=502, headers=(("Content-Type", "text/plain"),), body=f"{error!r}\n".encode(), path=path)
        finally:
            upstream.close()
        names = ("content-type", "content-range", "location", "etag")
        kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() in names)
        length = answer.getheader("Content-Length") or "0"
        return Answer(status=answer.status, headers=kept, body=body if method == "GET" else b"\0" * int(length), path=path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with suppress(ConnectionError), self.server.faults.counted(path, authorized="Authorization" in self.headers):
            self._respond(path)

    do_HEAD = do_GET  # noqa: N815  # the base class wants these names

    def _respond(self, path: str) -> None:
        answer = self.server.faults.apply(path, self.server.ask(self.command, self.path, dict(self.headers.items())))
        self.send_response(answer.status)
        names = {name.lower() for name, _ in answer.headers}
        for name, value in answer.headers:
            self.send_header(name, value)
        if not names & {"content-length", "connection"}:
            self.send_header("Content-Length", str(len(answer.body)))
        if "connection" not in names:
            # An answer that is shorter than it says must end, or the client would wait for the rest; and a client that is not
            # told so sends its next request into a connection that closes. The base class heeds this header, too.
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            answer.deliver(self, answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """The tests' output is for the tests."""


@contextmanager
def serving(found: ThreadingHTTPServer) -> Iterator[None]:
    """Lets a server answer as long as the context lasts."""
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        found.shutdown()
        thread.join()


@contextmanager
def proxy_for(upstream: str) -> Iterator[Proxy]:
    """The proxy in front of the index at `upstream`, running as long as the context lasts."""
    with Proxy(upstream) as found, serving(found):
        try:
            yield found
        finally:
            found.faults.clear()


class Guarded(Proxy):
    """An index that answers only those who give its user and password."""

    def __init__(self, upstream: str, user: str, password: str) -> None:
        super().__init__(upstream)
        self.pair = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if headers.get("Authorization") != self.pair:
            return Answer(status=401, headers=(("WWW-Authenticate", 'Basic realm="index"'),), body=b"who are you?\n")
        return super().ask(method, path, headers)


@contextmanager
def guarded_by(index: Proxy, user: str, password: str) -> Iterator[Guarded]:
    """What `index` serves, for this user alone, as long as the context lasts."""
    with Guarded(f"http://{index.upstream}", user, password) as found, serving(found):
        yield found


class Listener(ThreadingHTTPServer):
    """Answers nobody, and counts who comes."""

    def __init__(self, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), BaseHTTPRequestHandler)
        self.address = f"{LOOPBACK}:{self.server_port}"
        self.connections = 0

    def verify_request(self, *_: object) -> bool:
        self.connections += 1
        return False


@contextmanager
def listener(port: int = 0) -> Iterator[Listener]:
    """A listener on that port (0: any), as long as the context lasts."""
    with Listener(port) as found, serving(found):
        yield found


def status(code: int) -> Fault:
    """An answer with this status and a few words."""
    return lambda _answer: Answer(status=code, headers=(("Content-Type", "text/plain"),), body=b"not today\n")


def content(kind: str, body: bytes) -> Fault:
    """A good answer with another content."""
    return lambda _answer: Answer(status=200, headers=(("Content-Type", kind),), body=body)


def truncated(answer: Answer) -> Answer:
    """The first half, under the length of the whole."""
    length = ("Content-Length", str(len(answer.body)))
    return Answer(status=answer.status, headers=(*answer.headers, length), body=answer.body[: len(answer.body) // 2])


def flipped(answer: Answer) -> Answer:
    """The same length, one byte different."""
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    return Answer(status=answer.status, headers=answer.headers, body=bytes(body))


def delivered(deliver: Deliver) -> Fault:
    """The index's own answer, sent in this way."""
    return lambda answer: replace(answer, deliver=deliver)


def half(handler: Handler, body: bytes) -> None:
    """Half of it, and then nothing more."""
    released = handler.server.faults.released
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    released.wait()
