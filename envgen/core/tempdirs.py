"""Folders for the time being, and what a disk has against them: nothing that a killed process leaves behind stays for good."""

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
    from filelock import FileLock  # slow to import, and not every command makes a folder

_ALIVE = ".alive"
"""What the name of a scratch folder has behind it in that of a file, on which its process holds a lock: the kernel lets go of it
however the process ends. The file is there before the folder, and goes after it."""


@contextmanager
def temp_dir(purpose: str, within: Path | None = None) -> Iterator[Path]:
    """An empty folder of our own in `within` (default: where temporary files are), gone when the context ends.

    If we are killed it goes when any envgen next makes one there. Raises OSError.
    """
    place = within or Path(tempfile.gettempdir())
    remove_stale(place)
    alive = _sign_of_life(place / f"envgen-{purpose}-{secrets.token_hex(8)}{_ALIVE}")
    try:
        folder = Path(alive.lock_file).with_suffix("")
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(alive)


def remove_stale(place: Path) -> None:
    """Removes the scratch folders in `place` that belong to nobody any more."""
    from filelock import FileLock, Timeout

    for left in place.glob(f"envgen-*{_ALIVE}"):
        with suppress(Timeout, OSError):
            # Where all may write, others could make links that lead elsewhere.
            if os.name == "nt" or left.lstat().st_uid == os.getuid():
                alive = FileLock(left, blocking=False)
                alive.acquire()
                _remove(alive)


def _sign_of_life(path: Path) -> "FileLock":
    from filelock import FileLock

    alive = FileLock(path)
    alive.acquire()
    while not path.exists():  # somebody swept before it was held
        alive.release()
        alive.acquire()
    return alive


def _remove(alive: "FileLock") -> None:
    path = Path(alive.lock_file)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    # As long as it is held, so that nobody who waits for it takes it over; on Windows that can't be done.
    with suppress(OSError):
        path.unlink()
    alive.release()
    with suppress(OSError):
        path.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Whether `error` says that the disk, or our share of it, has no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(error: OSError) -> DiskFullError:
    """What to raise for a disk that is full, wherever we were writing."""
    where = str(error.filename) if error.filename else "disk"
    hint = f"make room for temporary files in {tempfile.gettempdir()} (or set TMPDIR), and where ENVGEN_CACHE is"
    return DiskFullError(where, "no space left on the disk; what was being written is removed", hint=hint)
