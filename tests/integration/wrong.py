"""Ways in which an index may be wrong that take more than another answer."""

from __future__ import annotations

import socket
import struct
import zlib
from dataclasses import replace

from loopback import Answer, Fault, Handler


def dripping(handler: Handler, body: bytes) -> None:
    """A byte a second."""
    released = handler.server.faults.released
    for byte in body:
        handler.wfile.write(bytes([byte]))
        if released.wait(1):
            return


def reset(handler: Handler, body: bytes) -> None:
    """Half of it, and then the connection is not closed but torn down: RST."""
    handler.wfile.write(body[: len(body) // 2])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def endless(answer: Answer) -> Answer:
    """What begins like the index's own answer and never ends, at some megabytes a second."""

    def deliver(handler: Handler, body: bytes) -> None:
        released = handler.server.faults.released
        handler.wfile.write(body)
        while not released.wait(0.01):
            handler.wfile.write(b" " * 2**16)

    return replace(answer, headers=(*answer.headers, ("Connection", "close")), deliver=deliver)


def bomb(size: int) -> Fault:
    """So many bytes of nothing in place of the answer, packed with gzip to a thousandth."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()
    return lambda answer: replace(answer, headers=(*answer.headers, ("Content-Encoding", "gzip")), body=packed)


def busy(code: int, wait: str) -> Fault:
    """An answer with this status that asks to be left alone for `wait`: seconds, or until a date."""
    headers = (("Content-Type", "text/plain"), ("Retry-After", wait))
    return lambda _answer: Answer(status=code, headers=headers, body=b"not now\n")


def redirect(location: str) -> Fault:
    """An answer that sends whoever asks elsewhere; `{path}` in the location is what was asked for."""
    return lambda answer: Answer(status=302, headers=(("Location", location.replace("{path}", answer.path)),), body=b"")
