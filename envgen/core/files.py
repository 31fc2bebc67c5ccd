"""Files that are whole or not there: written in one step, checked by a digest, made by one process while the others wait."""

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
    """Writes `files`, by name, into `folder`, each whole and in their order, and removes those in `dropped`; False where nothing changed.

    An interruption waits until all are in place, and a failure puts back what was there.
    Raises UsageError when the folder can't be written, DiskFullError when the disk is full.
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
    """Puts `files` in place by way of the folder `fresh`, or back what was there before. Raises OSError."""
    for name, content in files.items():
        _write(fresh / f"{name}.new", content)
        # Now, since putting it back must need no room.
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
    """What is to be written for `content`: before it the digest of it, so that a file that is corrupt, or cut off, is as good as none."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}\n".encode() + content


def read_checked(path: Path) -> bytes | None:
    """The content of the file at `path`, written `with_digest`; None where it is not there or not what it says. Raises OSError."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    content = data.partition(b"\n")[2]
    return content if with_digest(content) == data else None


def sha256_of(path: Path) -> str:
    """The sha256 of the file at `path`, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_hashed(pieces: Iterable[bytes], stream: BinaryIO) -> str:
    """Writes `pieces` to `stream` and gives the sha256 (hex) of them together."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        stream.write(piece)
    return digest.hexdigest()


def flush_to_disk(stream: BinaryIO) -> None:
    """Returns when what was written to `stream` would survive the loss of power. Raises OSError."""
    stream.flush()
    os.fsync(stream.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of the file `path` against all other processes; the kernel lets go of it however we end. Raises OSError."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
