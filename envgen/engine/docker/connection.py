"""Why no engine can be reached: none answers, or we may not talk to it. The two have different cures."""

import errno
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from envgen.core.errors import DiskFullError, EngineError
from envgen.core.tempdirs import disk_full, is_full

SOCKET = "/var/run/docker.sock"
"""Where the SDK looks when no host is named."""

_FORBIDDEN = (errno.EACCES, errno.EPERM)


def no_connection(host: str | None, error: Exception) -> EngineError | DiskFullError:
    """What to raise where connecting to the engine at `host` (None: the default socket) ended in `error`."""
    causes = list(_os_errors(error))
    full = next(filter(is_full, causes), None)
    if full:
        return disk_full(full)
    where = host or f"unix://{SOCKET}"
    if any(cause.errno in _FORBIDDEN for cause in causes):
        path = Path(urlsplit(where).path)
        hint = (
            f"become a member of its group, then log in again: sudo usermod -aG {_group(path)} $USER\n"
            "(who may use it can become root on that machine; rootless Docker needs no such group)"
        )
        return EngineError("docker", f"permission denied: the engine at {where} is not open to this user", hint=hint)
    hint = "start Docker (sudo systemctl start docker), install it, or set DOCKER_HOST to where it is"
    return EngineError("docker", f"no engine answers at {where}", hint=hint)


def _os_errors(error: BaseException) -> Iterator[OSError]:
    """The errors of the system in `error`: libraries put them into the arguments of their own, several deep."""
    seen: list[object] = [error]
    for found in seen:  # it grows
        if isinstance(found, OSError) and found.errno:
            yield found
        if isinstance(found, BaseException):
            seen += [more for more in (*found.args, found.__cause__, found.__context__) if isinstance(more, BaseException | tuple)]
            seen += [more for more in (getattr(found, "reason", None),) if isinstance(more, BaseException)]
        elif isinstance(found, tuple):
            seen += [more for more in found if isinstance(more, BaseException)]
        if len(seen) > 100:  # a circle of contexts
            return


def _group(path: Path) -> str:
    """The group that a socket is open to; docker where that can't be seen, or is root's."""
    try:
        import grp

        status = path.stat()
        return grp.getgrgid(status.st_gid).gr_name if status.st_gid else "docker"
    except (ImportError, KeyError, OSError):
        return "docker"
