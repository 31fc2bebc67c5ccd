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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the index said, or what is said in its place."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


Fault = Callable[[Answer], Answer]
"""Makes another answer of the index's own."""


@dataclass
class Faults:
    """What the proxy does wrong; empty, it does nothing wrong.

    A fault holds for the paths that end with its suffix, for so many requests. Half of a `stalled` answer is sent, the other
    half never. `seen` counts the requests for each path.
    """

    rules: list[tuple[str, Fault, int]] = field(default_factory=list)
    stalled: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, suffix: str, fault: Fault, *, times: int = 1_000_000) -> None:
        self.rules.append((suffix, fault, times))

    def stall(self, suffix: str) -> None:
        self.stalled.append(suffix)

    def clear(self) -> None:
        """Make nothing wrong any more; what was stalled is let go."""
        self.rules.clear()
        self.stalled.clear()
        self.seen.clear()
        self.released.set()
        self.released = threading.Event()

    def apply(self, path: str, answer: Answer) -> Answer:
        for position, (suffix, fault, left) in enumerate(self.rules):
            if path.endswith(suffix) and left > 0:
                self.rules[position] = (suffix, fault, left - 1)
                return fault(answer)
        return answer

    def stalls(self, path: str) -> bool:
        return any(path.endswith(suffix) for suffix in self.stalled)

    def requests(self, suffix: str) -> int:
        """How many requests there were for paths that end so."""
        return sum(count for path, count in self.seen.items() if path.endswith(suffix))


class Proxy(ThreadingHTTPServer):
    """Hands each request to the real index, and its answer on, through the faults."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.upstream = upstream.rpartition("//")[2]
        self.root = f"http://{LOOPBACK}:{self.server_port}"
        self.url = f"{self.root}/simple"
        self.faults = Faults()

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            # The index makes its links from the name it was asked by, which is ours.
            upstream.request(method, path, headers={**headers, "Accept-Encoding": "identity"})
            answer = upstream.getresponse()
            body = answer.read()
        finally:
            upstream.close()
        names = ("content-type", "content-range", "location", "etag")
        kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() in names)
        length = answer.getheader("Content-Length") or "0"
        return Answer(status=answer.status, headers=kept, body=body if method == "GET" else b"\0" * int(length))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            self._respond()

    do_HEAD = do_GET  # noqa: N815  # the base class wants these names

    def _respond(self) -> None:
        faults, path = self.server.faults, self.path.partition("?")[0]
        faults.seen[path] += 1
        answer = faults.apply(path, self.server.ask(self.command, self.path, dict(self.headers.items())))
        self.send_response(answer.status)
        names = {name.lower() for name, _ in answer.headers}
        for name, value in answer.headers:
            self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if faults.stalls(path):
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.wfile.flush()
            faults.released.wait()
        else:
            self.wfile.write(answer.body)
        # An answer that is shorter than it says must end, or the client would wait for the rest.
        self.close_connection = True

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
