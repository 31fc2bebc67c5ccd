"""Read single members of a wheel on a server by ranges, without downloading the rest."""

import io
from typing import Protocol

from envgen.sources.index_pages import IndexFile

_TAIL = 1 << 16
"""Bytes of the first request, which usually include the zip directory and the RECORD before it."""

_WINDOW = 1 << 18
"""The least number of bytes of each further request."""


class NoRangesError(Exception):
    """The server supports no range requests."""


class RangeClient(Protocol):
    """A client that requests parts of a file."""

    def part(self, file: IndexFile, start: int, stop: int) -> bytes | None: ...


class RemoteFile(io.RawIOBase):
    """A file on an index, of `size` bytes, for `zipfile`; reads raise as `IndexClient.part` does, and NoRangesError."""

    def __init__(self, client: RangeClient, file: IndexFile, size: int) -> None:
        self._client = client
        self._file = file
        self._size = size
        self._place = 0
        self._start = max(size - _TAIL, 0)
        self._window = self._ask(self._start, size)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if place < 0:
            raise ValueError(f"{place} is before the beginning")
        self._place = place
        return place

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._place + size, self._size)
        if stop <= self._place:
            return b""
        if self._place < self._start or stop > self._start + len(self._window):
            self._window = self._ask(self._place, min(max(stop, self._place + _WINDOW), self._size))
            self._start = self._place
        content = self._window[self._place - self._start : stop - self._start]
        self._place += len(content)
        return content

    def _ask(self, start: int, stop: int) -> bytes:
        content = self._client.part(self._file, start, stop) if stop > start else b""
        if content is None:
            raise NoRangesError
        return content
