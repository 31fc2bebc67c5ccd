"""Tar files that no honest program writes, made block by block: each is refused, in bounded memory and time."""

from __future__ import annotations

import tarfile
from collections.abc import Callable

BLOCK = 512
END = bytes(2 * BLOCK)
HUGE = 6 << 30


def header(
    name: str = "x", *, size: bytes = b"", length: int = 0, kind: bytes = tarfile.REGTYPE, form: int = tarfile.USTAR_FORMAT
) -> bytes:
    """A header whose field for the size holds `size`, or else the number `length`."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, length
    return patched(info.tobuf(form), 124, size.ljust(12, b"\0") if size else b"")


def patched(block: bytes, place: int, content: bytes) -> bytes:
    """A header with other bytes at a place, and the checksum that fits."""
    changed = bytearray(block)
    changed[place : place + len(content)] = content
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def pax(*records: tuple[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with these records."""
    return extended(b"".join(record(name, value) for name, value in records), kind)


def extended(content: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("h", length=len(content), kind=kind) + padded(content)


def record(name: str, value: str) -> bytes:
    text = f" {name}={value}\n".encode(errors="surrogateescape")
    size = len(text)
    while size != len(text) + len(str(size)):
        size = len(text) + len(str(size))
    return str(size).encode() + text


def a_file(name: str = "x", content: bytes = b"content") -> bytes:
    return header(name, length=len(content)) + padded(content)


def base256(number: int) -> bytes:
    return number.to_bytes(12, "big", signed=True) if number < 0 else b"\x80" + number.to_bytes(11, "big")


LONG_NAME = header("././@LongLink", length=5000, kind=tarfile.GNUTYPE_LONGNAME, form=tarfile.GNU_FORMAT) + padded(b"n" * 5000)

HOSTILE: dict[str, tuple[bytes, str]] = {
    "a negative size": (header(size=b"-0000001000") + END, "for a number in a header"),
    "a negative size in base 256": (header(size=base256(-512)) + END, "-512 bytes"),
    "a negative size in an extended header": (pax(("size", "-512")) + a_file() + END, "for size in an extended header"),
    "a size beyond all files": (header(size=base256(1 << 80)) + END, "found an entry of 1208925819614629174706176 bytes"),
    "a size that readers read differently": (header(size=b"00000000_10") + a_file() + END, "for a number in a header"),
    "a size with a sign": (header(size=b"+0000000010") + a_file() + END, "for a number in a header"),
    "a size that is no number": (pax(("size", "7.0")) + a_file() + END, "for size in an extended header"),
    "an extended header of 6 GiB": (header("h", length=HUGE, kind=b"x") + bytes(4 << 20), f"found a header of {HUGE} bytes"),
    "a long name of 6 GiB": (header("h", length=HUGE, kind=b"L") + bytes(4 << 20), f"found a header of {HUGE} bytes"),
    "an extended header of a negative size": (header("h", size=base256(-1), kind=b"x") + END, "found a header of -1 bytes"),
    "an extended header of digits": (extended(b"1" * 900_000) + a_file() + END, "malformed extended header"),
    "an extended header that says hdrcharset without end": (
        extended(b"9 hdrcharset" * 70_000) + a_file() + END,
        "malformed extended header",
    ),
    "a record of no length": (extended(b"0 a=b\n") + a_file() + END, "malformed extended header"),
    "a record beyond its header": (extended(b"99 a=b\n") + a_file() + END, "malformed extended header"),
    "a record without a value": (extended(b"5 ab\n") + a_file() + END, "malformed or duplicate record"),
    "a record twice": (pax(("path", "a"), ("path", "b")) + a_file() + END, "malformed or duplicate record"),
    "too many records": (pax(*((f"x{number}", "") for number in range(200))) + a_file() + END, "or far too many"),
    "an empty path": (pax(("path", "")) + a_file() + END, "with an empty path"),
    "a path with a zero": (pax(("path", "a\0b")) + a_file() + END, "an invalid path of 3 characters"),
    "a path that is too long": (pax(("path", "n" * 5000)) + a_file() + END, "an invalid path of 5000 characters"),
    "a long name that is too long": (LONG_NAME + a_file() + END, "an invalid path of 5000 characters"),
    "a link that is too long": (pax(("linkpath", "n" * 5000)) + header(kind=b"2") + END, "an invalid path of 5000 characters"),
    "a file with the path of a folder": (pax(("path", "etc/")) + a_file() + END, "a file with the path of a folder"),
    "a time that is no number": (pax(("mtime", "1e400")) + a_file() + END, "for mtime in an extended header"),
    "a time of many digits": (pax(("mtime", "9" * 100_000)) + a_file() + END, "for mtime in an extended header"),
    "two extended headers": (pax(("path", "a")) * 2 + a_file() + END, "two headers of type x"),
    "extended headers without end": (pax(("path", "a")) * 3000, "two headers of type x"),
    "a header for all entries": (pax(("path", "a"), kind=b"g") + a_file() + END, "a global header"),
    "nothing behind an extended header": (pax(("path", "a")) + END, "ends after an extended header"),
    "a file with holes": (header(kind=tarfile.GNUTYPE_SPARSE) + END, "a sparse file"),
    "a map of holes": (pax(("GNU.sparse.map", "0,1")) + a_file() + END, "a sparse file"),
    "holes of another form": (pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")) + a_file() + END, "a sparse file"),
    "a volume": (header(kind=b"V") + END, "an entry of type b'V'"),
    "a name that readers read differently": (patched(header(form=tarfile.GNU_FORMAT), 345, b"etc") + END, "an ambiguous name"),
    "a wrong checksum": (a_file() + header()[:148] + b"0000001\0" + header()[156:] + END, "bad checksum"),
    "a checksum that one reader takes for the end": (
        a_file() + header()[:148] + b"\0" + b"07000\0\0" + header()[156:],
        "for a number in a header",
    ),
    "a cut header": (a_file() + header()[:100], "truncated header"),
    "a cut extended header": (pax(("path", "a" * 600))[:700], "unexpected end of data"),
    "a cut file": (a_file(content=b"x" * 1000)[:1200], "unexpected end of data"),
    "a cut file that is jumped over": (header(length=1 << 32) + bytes(BLOCK), "unexpected end of data"),
    "nothing": (b"", "empty file"),
}
"""Each with a part of what is said of it."""


class Endless:
    """A stream that never ends, of which nobody may read much at once or much in all: its beginning, then `more`, again and again."""

    def __init__(self, more: Callable[[], bytes], *, limit: int) -> None:
        self._more, self._rest, self._left = more, b"", limit

    def read(self, size: int) -> bytes:
        assert 0 <= size <= 1 << 20, f"{size} bytes were asked for at once"
        self._left -= size
        assert self._left > 0, "it is read without end"
        while len(self._rest) < size:
            self._rest += self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found
