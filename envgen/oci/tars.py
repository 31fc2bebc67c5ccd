"""Writes reproducible tar files: the same content gives the same bytes on any machine at any time."""

import hashlib
import io
import tarfile
from typing import IO, Any

from envgen.oci.tar_reader import Readable

MTIME = 315532800
"""1980-01-01: the time of every file."""


class _HashedReader:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.digest.update(content)
        return content


def write_tar(stream: IO[bytes]) -> tarfile.TarFile:
    """An uncompressed tar file written to `stream`."""
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)


def add_file(tar: tarfile.TarFile, name: str, stream: Readable, size: int) -> str:
    """Adds `size` bytes of `stream` as the file `name` and returns their sha256 (hex). Raises OSError, also if there are fewer."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, MTIME, 0o644
    hashed: Any = _HashedReader(stream)
    tar.addfile(entry, hashed)
    sha256: str = hashed.digest.hexdigest()
    return sha256


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds `content` as the file `name`. Raises OSError."""
    add_file(tar, name, io.BytesIO(content), len(content))
