"""Atomic writes, files with a digest, hashing, and locks between processes."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from envgen.core.parallel import defer_signals
from envgen.core.tempdirs import is_full, remove_stale, temp_dir
from envgen.core.unwritable import unwritable


def replace_files(folder: Path, files: Mapping[str, bytes], dropped: Sequence[Path] = ()) -> bool:
    """Atomically write `files`, by name, into `folder` and remove the paths in `dropped`; return whether anything changed.

    Signals are deferred until all files are in place; on failure the previous files are restored.
    Raises UsageError if the folder can't be written, DiskFullError if the disk is full.
    """
    try:
        remove_stale(folder)
        same = all((folder / name).is_file() and (folder / name).read_bytes() == content for name, content in files.items())
        if same and not any(path.exists() for path in dropped):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with defer_signals(), temp_dir("lock", folder) as fresh:
            _replace_all(folder, files, fresh)
            for path in dropped:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error, folder if is_full(error) else error.filename or folder, "nothing was changed") from error
    return True


def _replace_all(folder: Path, files: Mapping[str, bytes], fresh: Path) -> None:
    """Write `files` through the folder `fresh`; on failure restore the previous ones. Raises OSError."""
    for name, content in files.items():
        _write(fresh / f"{name}.new", content)
        # Copied up front: restoring must not need disk space.
        if (folder / name).exists():
            _write(fresh / f"{name}.old", (folder / name).read_bytes())
    placed = []
    try:
        for name in files:
            (fresh / f"{name}.new").replace(folder / name)
            placed.append(folder / name)
    except OSError:
        for path in placed:
            old = fresh / f"{path.name}.old"
            if old.exists():
                old.replace(path)
            else:
                path.unlink()
        raise


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


def with_digest(content: bytes) -> bytes:
    """Prepend a digest to `content`, so that a corrupt or truncated file is detected."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}\n".encode() + content


def read_checked(path: Path) -> bytes | None:
    """Read a file written `with_digest`; None if it is missing or corrupt. Raises OSError."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    content = data.partition(b"\n")[2]
    return content if with_digest(content) == data else None


def sha256_of(path: Path) -> str:
    """Return the sha256 of the file at `path`, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_hashed(pieces: Iterable[bytes], stream: BinaryIO) -> str:
    """Write `pieces` to `stream` and return their sha256, in hex."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        stream.write(piece)
    return digest.hexdigest()


def flush_to_disk(stream: BinaryIO) -> None:
    """Flush `stream` so that its content survives a power failure. Raises OSError."""
    stream.flush()
    os.fsync(stream.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an inter-process lock on the file `path`; the kernel releases it even if we crash. Raises OSError."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
