"""Tar files that have the same bytes for the same content: nothing in them tells of who wrote them, where or when."""

import hashlib
import io
import tarfile
from typing import IO, Any

from envgen.oci.tar_reader import Readable

MTIME = 315532800
"""1980-01-01, of every file."""


class _HashedReader:
    """A stream that hashes what is read of it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.digest.update(content)
        return content


def write_tar(stream: IO[bytes]) -> tarfile.TarFile:
    """A tar file that is written to `stream`, uncompressed."""
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)


def add_file(tar: tarfile.TarFile, name: str, stream: Readable, size: int) -> str:
    """Adds `size` bytes of `stream` as the file `name`; gives their sha256 (hex). Raises OSError, also when there are fewer."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, MTIME, 0o644
    hashed: Any = _HashedReader(stream)
    tar.addfile(entry, hashed)
    found: str = hashed.digest.hexdigest()
    return found


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds `content` as the file `name`. Raises OSError."""
    add_file(tar, name, io.BytesIO(content), len(content))
