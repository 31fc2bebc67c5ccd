"""Errors for files that can't be read or written, with a cure for each reason."""

import errno
from pathlib import Path

from envgen.core.errors import DiskFullError, EnvgenError, UsageError
from envgen.core.tempdirs import is_full

_CURES = {
    errno.EACCES: "use a folder that you may write, or have its owner change its permissions",
    errno.EPERM: "use a folder that you may write, or have its owner change its permissions",
    errno.EROFS: "its file system is mounted read-only: mount it for writing, or work in a copy",
    errno.ENOTDIR: "remove the file that is in the way",
    errno.EISDIR: "remove the folder that is in the way",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ELOOP: "remove the circular symbolic links",
}
"""The cures for faults that a user can fix."""

CACHE_FOLDER = "set ENVGEN_CACHE to a folder you may write"


def is_users_own(error: OSError) -> bool:
    """Whether `error` is about a file, and one that the user can fix."""
    return error.filename is not None and error.errno in _CURES


def unwritable(error: OSError, where: Path | str, note: str = "") -> EnvgenError:
    """The error for a file or folder that can't be written; `note` is added to the message."""
    more = f"; {note}" if note else ""
    if is_full(error):
        return DiskFullError(str(where), f"the disk is full{more}", hint="make room there")
    hint = _CURES.get(error.errno or 0, "remove what is in the way")
    return UsageError(str(where), f"can't be written: {error.strerror or error}{more}", hint=hint)


def unusable(error: OSError) -> UsageError:
    """The error for an unexpected OSError that `is_users_own`."""
    return UsageError(str(error.filename), f"can't be read or written: {error.strerror or error}", hint=_CURES[error.errno or 0])


def cache_cure(error: OSError, room: str) -> str:
    """The cure for a cache that can't be written: `room` if the disk is full."""
    return room if is_full(error) else CACHE_FOLDER
