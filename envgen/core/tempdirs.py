"""Temporary folders that are cleaned up even after `kill -9`, and errors for a full disk."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envgen.core.errors import DiskFullError

if TYPE_CHECKING:
    from filelock import FileLock  # slow to import, and not every command needs it

_ALIVE = ".alive"
"""The suffix of the lock file beside each temporary folder. Its process holds a lock on it, which the kernel releases even after a
crash. The file is created before the folder and removed after it."""


@contextmanager
def temp_dir(purpose: str, within: Path | None = None) -> Iterator[Path]:
    """An empty folder in `within` (default: the system's temporary folder), removed when the context ends.

    If we are killed, the next temporary folder that envgen creates there removes it. Raises OSError.
    """
    place = within or Path(tempfile.gettempdir())
    remove_stale(place)
    lock = _sign_of_life(place / f"envgen-{purpose}-{secrets.token_hex(8)}{_ALIVE}")
    try:
        folder = Path(lock.lock_file).with_suffix("")
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(lock)


def remove_stale(place: Path) -> None:
    """Remove the temporary folders in `place` whose processes are gone."""
    from filelock import FileLock, Timeout

    for path in place.glob(f"envgen-*{_ALIVE}"):
        with suppress(Timeout, OSError):
            # In a world-writable folder others could plant symbolic links.
            if os.name == "nt" or path.lstat().st_uid == os.getuid():
                lock = FileLock(path, blocking=False)
                lock.acquire()
                _remove(lock)


def _sign_of_life(path: Path) -> "FileLock":
    from filelock import FileLock

    lock = FileLock(path)
    lock.acquire()
    while not path.exists():  # another process removed it before we locked it
        lock.release()
        lock.acquire()
    return lock


def _remove(lock: "FileLock") -> None:
    path = Path(lock.lock_file)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    # Unlinked before it is released, so that no waiting process acquires it; Windows can't do that.
    with suppress(OSError):
        path.unlink()
    lock.release()
    with suppress(OSError):
        path.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Whether `error` means a full disk or an exceeded quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(error: OSError) -> DiskFullError:
    """The DiskFullError for `error`."""
    where = str(error.filename) if error.filename else "disk"
    hint = f"make room in {tempfile.gettempdir()} (or set TMPDIR) and in ENVGEN_CACHE"
    return DiskFullError(where, "no space left on the disk; partial files were removed", hint=hint)
