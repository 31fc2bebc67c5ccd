"""Files of a folder that anybody may have made: what is no file, or too large, is refused before it is read."""

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
    """What a thing with this mode is where that is no file; empty for a file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def open_plain(path: Path) -> BinaryIO:
    """The file at `path`, to be read. Raises OSError, also for what is no file: to open a pipe is to wait for a writer."""
    _check(path.stat().st_mode)
    # It may be another one by now.
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
    """The content of the file at `path`. Raises OSError, also for what is no file, and ValueError for more than `largest` bytes."""
    with open_plain(path) as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"found more than {largest} bytes")
    return content


def leads_out(link: Path, folder: Path) -> bool:
    """Whether the symbolic link `link`, in `folder`, leads out of it as it is written: it then leads elsewhere where that is mounted."""
    target = link.readlink()
    place = os.path.normpath(link.relative_to(folder).parent / target)
    return target.is_absolute() or place == ".." or place.startswith(f"..{os.sep}")


def check_no_links(root: Path, path: Path) -> None:
    """Raises UsageError where a folder on the way from `root`, a project's, to `path` is a symbolic link, or `path` is a linked folder.

    What is written there would be elsewhere, though the project is what was named. The `root` itself may be a link: it was named.
    """
    steps = path.relative_to(root).parts
    for count in range(1, len(steps) + 1):
        place = root.joinpath(*steps[:count])
        if place.is_symlink() and (count < len(steps) or place.is_dir()):
            problem = f"a link to {place.readlink()}: what is written there would be outside of this folder"
            raise UsageError(str(place), problem, hint="put a folder in its place")
