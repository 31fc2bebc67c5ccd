"""Reads untrusted zip files, such as wheels; any fault in one raises BadZipFile."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, LargeZipFile, ZipFile

LARGEST = 1 << 30
"""The largest member, in bytes, that is read into memory: metadata and scripts, the largest of which is uv itself."""

_DAMAGED = (EOFError, ValueError, OverflowError, KeyError, struct.error, zlib.error, LZMAError)
_WRONG = (*_DAMAGED, NotImplementedError, RuntimeError, LargeZipFile)
"""What zipfile raises for a truncated archive, an invalid name, an unknown compression or a password."""


@contextmanager
def open_zip(path: Path | IO[bytes]) -> Iterator[ZipFile]:
    """Open the archive at `path`, or in a seekable file. Raises BadZipFile if it can't be read, also inside the context."""
    try:
        archive = ZipFile(path)
    except (*_WRONG, OSError) as error:
        raise BadZipFile(str(error) or type(error).__name__) from error
    try:
        with archive:
            yield archive
    except _WRONG as error:  # not OSError, which may come from the disk that is unpacked to
        raise BadZipFile(str(error) or type(error).__name__) from error


def read_member(archive: ZipFile, name: str) -> bytes:
    """Return the content of a member. Raises BadZipFile, also if it is larger than `LARGEST`."""
    try:
        info = archive.getinfo(name)
        if info.file_size > LARGEST:
            raise BadZipFile(f"{name}: {info.file_size} bytes, at most {LARGEST} are read")
        # zipfile stops at the size given in the directory.
        return archive.read(info)
    except (*_WRONG, OSError) as error:
        raise BadZipFile(str(error) or type(error).__name__) from error
