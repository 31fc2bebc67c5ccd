"""Zip files of others, such as wheels: whatever is wrong with one is a BadZipFile."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, LargeZipFile, ZipFile

LARGEST = 1 << 30
"""Bytes of a member that is read into memory: of most wheels no more than metadata and scripts, whose largest is uv itself."""

_DAMAGED = (EOFError, ValueError, OverflowError, KeyError, struct.error, zlib.error, LZMAError)
_WRONG = (*_DAMAGED, NotImplementedError, RuntimeError, LargeZipFile)
"""What zipfile raises for an archive it can't read: an end too early, a name that is no text, an unknown compression, a password."""


@contextmanager
def open_zip(path: Path | IO[bytes]) -> Iterator[ZipFile]:
    """The archive at `path`, or in a file that can seek. Raises BadZipFile for one that can't be read, also while the context lasts."""
    try:
        archive = ZipFile(path)
    except (*_WRONG, OSError) as error:
        raise BadZipFile(str(error) or type(error).__name__) from error
    try:
        with archive:
            yield archive
    except _WRONG as error:  # no OSError: it may be the disk that something is unpacked to
        raise BadZipFile(str(error) or type(error).__name__) from error


def read_member(archive: ZipFile, name: str) -> bytes:
    """The content of a member. Raises BadZipFile, also for one that unpacks to more than `LARGEST`."""
    try:
        info = archive.getinfo(name)
        if info.file_size > LARGEST:
            raise BadZipFile(f"{name} has {info.file_size} bytes")
        # zipfile stops at the size that the directory gives.
        return archive.read(info)
    except (*_WRONG, OSError) as error:
        raise BadZipFile(str(error) or type(error).__name__) from error
