"""Reads files from untrusted folders: anything that is not a regular file, or is too large, is rejected before it is read."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from envgen.core.errors import UsageError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str:
    """Describe what has this mode; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def open_plain(path: Path) -> BinaryIO:
    """Open the regular file at `path` for reading. Raises OSError for anything else: opening a pipe would block."""
    _check(path.stat().st_mode)
    # It may have been replaced since the check.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(mode: int) -> None:
    if kind := kind_of(mode):
        raise OSError(errno.EINVAL, f"it is {kind}, expected a file")


def read_plain(path: Path, largest: int) -> bytes:
    """Read the regular file at `path`. Raises OSError for anything else, and ValueError if it is larger than `largest` bytes."""
    with open_plain(path) as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"found more than {largest} bytes")
    return content


def leads_out(link: Path, folder: Path) -> bool:
    """Whether the symbolic link `link` in `folder` points outside of it as written, and so elsewhere when `folder` is mounted."""
    target = link.readlink()
    resolved = os.path.normpath(link.relative_to(folder).parent / target)
    return target.is_absolute() or resolved == ".." or resolved.startswith(f"..{os.sep}")


def check_no_links(root: Path, path: Path) -> None:
    """Raise UsageError if a folder between the project folder `root` and `path` is a symbolic link, or `path` is a linked folder.

    Files would be written outside of the project. `root` itself may be a link, since the user named it.
    """
    steps = path.relative_to(root).parts
    for count in range(1, len(steps) + 1):
        place = root.joinpath(*steps[:count])
        if place.is_symlink() and (count < len(steps) or place.is_dir()):
            problem = f"a link to {place.readlink()}: what is written there would be outside of this folder"
            raise UsageError(str(place), problem, hint="put a folder in its place")
