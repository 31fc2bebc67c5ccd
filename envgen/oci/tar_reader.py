"""Reads untrusted tar files forwards, in bounded memory and time.

Python's tarfile reads an extended header of any size into memory, searches it in quadratic time (CVE-2024-6232), follows chains of
them, and seeks backwards on a negative size (CVE-2025-8194). Here it only parses single blocks. Anything that tar readers interpret
differently is rejected: an engine must see the same layer that we do. Where Go's archive/tar, which engines use, has bounds, these
are the same.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

BLOCK = 512
CHUNK = 1 << 20
"""Bytes read at a time."""

LONGEST_EXTENSION = 1 << 20
"""Bytes of one extended header; engines reject longer ones."""

LONGEST_PATH = 4096
"""Bytes of a path with its terminating zero; kernels reject longer ones."""

MOST_RECORDS = 100
"""Records in one extended header: a name, owners, times, and a few extended attributes."""

MOST_HEADERS = 192 << 20
"""Bytes of headers in one tar file, a record counted as a block: 390,000 entries. Readers of layers keep data for each."""

_LARGEST_SIZE = 1 << 62
_OCTAL = re.compile(rb" *[0-7]*[ \0]*")
_NUMBERS = (slice(100, 108), slice(108, 116), slice(116, 124), slice(124, 136), slice(136, 148), slice(148, 156))
"""The fields of mode, owner, group, size, time and checksum."""

_WHOLE, _DECIMAL = re.compile(r"[0-9]{1,19}"), re.compile(r"-?[0-9]{1,19}(\.[0-9]{0,30})?")
_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_TYPES = (*tarfile.REGULAR_TYPES, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


class Readable(Protocol):
    """A stream that a tar file can be read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class TarReader:
    """Iterates over the members in `stream`, in order, from its current position. With `seek`, contents are skipped.

    Iterating and reading raise tarfile.ReadError for anything malformed, truncated, or implausibly large.
    """

    def __init__(self, stream: Readable, *, seek: Callable[[int], object] | None = None, headers: int = MOST_HEADERS) -> None:
        self._stream, self._seek, self._left = stream, seek, headers
        self._position = self._next = 0
        self._comments: dict[str, str] = {}
        self.cost = 0
        """How much of `headers` has been used."""

        self.end = 0
        """Offset in bytes of the end of the last member; after the final one, of the end-of-archive marker."""

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        while member := self._member():
            yield member

    def read(self, member: tarfile.TarInfo, size: int = -1) -> bytes:
        """Up to `size` more bytes of the content of `member`, the last one yielded; all that is left by default."""
        left = member.offset_data + member.size - self._position
        amount = left if size < 0 else min(size, left)
        return self._exactly(amount) if amount > 0 else b""

    def _member(self) -> tarfile.TarInfo | None:
        """The next member; None at the end."""
        self._skip()
        start = self.end = self._position
        extensions: dict[bytes, bytes] = {}
        while (info := self._header()) is not None and info.type in _EXTENSIONS:
            if info.type in extensions:
                raise tarfile.ReadError(f"found two headers of type {info.type.decode()} for one entry")
            extensions[info.type] = self._extension(info)
        if info is None:
            if extensions:
                raise tarfile.ReadError("ends after an extended header")
            return None
        self._extend(info, extensions)
        _check(info)
        info.size = info.size if info.isreg() else 0
        info.offset, info.offset_data = start, self._position
        self._next = self._position - (-info.size // BLOCK) * BLOCK
        return info

    def _header(self) -> tarfile.TarInfo | None:
        block = self._stream.read(BLOCK)
        while 0 < len(block) < BLOCK and (more := self._stream.read(BLOCK - len(block))):
            block += more
        self._position += len(block)
        if not block.strip(b"\0") and (self._position or block):
            return None
        _check_block(block)
        self._count(BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if info.type not in (*_EXTENSIONS, *_TYPES) or info.type == tarfile.GNUTYPE_SPARSE:
            kind = "a sparse file" if info.type == tarfile.GNUTYPE_SPARSE else f"an entry of type {info.type!r}"
            raise tarfile.ReadError(f"{kind} is not supported")
        return info

    def _extension(self, info: tarfile.TarInfo) -> bytes:
        if not 0 <= info.size <= LONGEST_EXTENSION:
            raise tarfile.ReadError(f"found a header of {info.size} bytes, expected at most {LONGEST_EXTENSION}")
        self._count(info.size)
        content = self._exactly(info.size)
        self._exactly(-info.size % BLOCK)
        return content

    def _extend(self, info: tarfile.TarInfo, extensions: dict[bytes, bytes]) -> None:
        """Applies extended headers to `info`; if two set the same field, the first one counts."""
        info.pax_headers = {}
        for kind, content in reversed(list(extensions.items())):
            if kind == tarfile.GNUTYPE_LONGNAME:
                info.name = _text(content.partition(b"\0")[0])
            elif kind == tarfile.GNUTYPE_LONGLINK:
                info.linkname = _text(content.partition(b"\0")[0])
            else:
                records = _records(content)
                self._count(BLOCK * len(records))
                if kind == tarfile.XGLTYPE:
                    # Some readers apply it to all following entries, others ignore it.
                    if records.keys() - {"comment"}:
                        raise tarfile.ReadError("found a global header, which some readers ignore")
                    self._comments = records
                else:
                    _apply(info, records)
        info.pax_headers = {**self._comments, **info.pax_headers}
        if info.isdir():
            info.name = info.name.rstrip("/")

    def _count(self, size: int) -> None:
        self.cost += size
        if self.cost > self._left:
            raise tarfile.ReadError(f"has more than {self._left >> 20} MB of headers")

    def _skip(self) -> None:
        """Moves to the start of the next member."""
        if self._seek and self._next > self._position:
            # The last byte is read, not skipped: seeking beyond the end of a file does not fail.
            self._position = self._next - 1
            self._seek(self._position)
        while self._position < self._next:
            self._exactly(min(CHUNK, self._next - self._position))

    def _exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left > 0:
            part = self._stream.read(min(CHUNK, left))
            if not part:
                raise tarfile.ReadError("unexpected end of data")
            parts.append(part)
            left -= len(part)
            self._position += len(part)
        return b"".join(parts)


class Slice:
    """`size` bytes of an open file from `offset` on, independent of the file's current position."""

    def __init__(self, stream: IO[bytes], offset: int, size: int) -> None:
        self._stream, self._offset, self.size = stream, offset, size
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left. Raises OSError."""
        amount = self._left if size < 0 else min(size, self._left)
        self._stream.seek(self._offset + self.size - self._left)
        content = self._stream.read(amount)
        self._left -= len(content)
        return content


def is_tar(path: Path) -> bool:
    """Whether the file at `path` begins like an uncompressed tar file; reading it reports any other problem."""
    try:
        with path.open("rb") as stream:
            block = stream.read(BLOCK)
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return block[257:262] == b"ustar"
    except OSError:
        return False
    return True


def _check_block(block: bytes) -> None:
    """Raises ReadError for a header that is truncated or that readers interpret differently."""
    if len(block) < BLOCK:
        raise tarfile.ReadError("empty file" if not block else "truncated header")
    for field in _NUMBERS:
        if not block[field.start] & 0x80 and not _OCTAL.fullmatch(block[field]):
            raise tarfile.ReadError(f"found {block[field]!r} for a number in a header")
    # The bytes after the device number are part of the name in one format only.
    if any(block[345:500]) and (block[257:263] != b"ustar\0" or block[508:] == b"tar\0"):
        raise tarfile.ReadError("found a header with an ambiguous name")


def _check(info: tarfile.TarInfo) -> None:
    """Raises ReadError for an impossible member."""
    if min(info.size, info.mode, info.uid, info.gid) < 0 or info.size > _LARGEST_SIZE:
        raise tarfile.ReadError(f"found an entry of {info.size} bytes, mode {info.mode} and owner {info.uid}:{info.gid}")
    for text in (info.name, info.linkname):
        if len(text.encode("utf-8", "surrogateescape")) >= LONGEST_PATH or "\0" in text:
            raise tarfile.ReadError(f"found an invalid path of {len(text)} characters")
    if info.isreg() and info.name.endswith("/"):
        raise tarfile.ReadError("found a file with the path of a folder")


def _records(content: bytes) -> dict[str, str]:
    """The records of an extended header: each its own length, a space, a name, =, a value, and a newline."""
    records: dict[str, str] = {}
    start = 0
    while start < len(content):
        length = _LENGTH.match(content, start)
        end = start + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise tarfile.ReadError("found a malformed extended header")
        name, equals, value = content[length.end() : end - 1].partition(b"=")
        if not name or not equals or _text(name) in records or len(records) >= MOST_RECORDS:
            raise tarfile.ReadError("found an extended header with a malformed or duplicate record, or far too many")
        records[_text(name)] = _text(value)
        start = end
    return records


def _apply(info: tarfile.TarInfo, records: dict[str, str]) -> None:
    """Sets the fields of `info` that its extended header has."""
    for name, value in records.items():
        if name.startswith("GNU.sparse."):
            raise tarfile.ReadError("a sparse file is not supported")
        if name in ("path", "linkpath"):
            if not value:
                raise tarfile.ReadError(f"found an extended header with an empty {name}")
            setattr(info, "name" if name == "path" else "linkname", value)
        elif name in ("uname", "gname"):
            setattr(info, name, value)
        elif name in ("size", "uid", "gid"):
            setattr(info, name, int(_number(name, value, _WHOLE)))
        elif name == "mtime":
            info.mtime = float(_number(name, value, _DECIMAL))
    info.pax_headers = records


def _number(name: str, value: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(value):
        raise tarfile.ReadError(f"found {value[:40]!a} for {name} in an extended header")
    return value


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
