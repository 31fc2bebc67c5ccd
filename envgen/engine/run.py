"""A container run to its end through Docker's SDK."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from envgen.core.errors import EngineError
from envgen.engine import Line, RunRequest, RunResult

TMPFS = {"/tmp": "rw,nosuid,nodev,mode=1777"}  # noqa: S108  (a path in the container)

LABEL = "envgen.run"
"""The label of our containers; no image of ours has it."""

LEFT_AFTER = "1h"
"""How old a container must be that has ended, to be taken for one whose envgen was killed: others read what theirs wrote at once."""

LONGEST_LINE = 1 << 20
"""Bytes of a line that are kept: a container may write one without an end."""

KEPT = 1 << 16
"""Bytes of what a container wrote to standard error that are kept."""

GPU_CURE = """\
install the NVIDIA Container Toolkit on the engine's host, then:
       nvidia-ctk runtime configure --runtime=docker && systemctl restart docker"""


def run_container(client: Any, order: RunRequest, on_line: Line) -> RunResult:  # the SDK has no types
    """Runs `order` and removes its container. Raises EngineError."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):  # another envgen is just doing the same
        client.containers.prune(filters={"label": LABEL, "until": LEFT_AFTER})
    try:
        container = client.containers.create(order.image, list(order.command), **_options(order))
    except APIError as error:
        raise EngineError("docker", f"the container can't be made: {error.explanation}") from error
    try:
        watchdog = Watchdog(order.quiet, container.kill)
        container.start()
        with watchdog:
            for line in _lines(container.logs(stream=True, follow=True, stdout=True, stderr=False)):
                watchdog.restart()
                on_line(line)
            code = int(container.wait()["StatusCode"])
        container.reload()
        killed = bool(container.attrs["State"].get("OOMKilled"))
        stderr = _end_of(container.logs(stdout=False, stderr=True, stream=True, tail=200))
    except APIError as error:
        hint = GPU_CURE if order.gpus else ""
        raise EngineError("docker", f"the container can't be run: {error.explanation}", hint=hint) from error
    finally:
        container.remove(force=True, v=True)
    return RunResult(code=code, out_of_memory=killed, stderr=stderr, stalled=watchdog.barked)


class Watchdog:
    """Calls `kill` once, in a thread, when `seconds` pass without `restart` (0: never). A context manager that ends the watch."""

    def __init__(self, seconds: float, kill: Callable[[], object]) -> None:
        self.barked = False
        self._seconds = seconds
        self._kill = kill
        self._timer: threading.Timer | None = None

    def __enter__(self) -> None:
        self.restart()

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()

    def restart(self) -> None:
        """Begin to count anew."""
        self.__exit__()
        if self._seconds and not self.barked:
            self._timer = threading.Timer(self._seconds, self._bark)
            self._timer.daemon = True
            self._timer.start()

    def _bark(self) -> None:
        from docker.errors import APIError

        self.barked = True
        with contextlib.suppress(APIError):  # it ended by itself just now
            self._kill()


def _options(order: RunRequest) -> dict[str, Any]:
    from docker.types import DeviceRequest, Mount

    options: dict[str, Any] = {
        "read_only": True,
        "network_mode": order.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": dict(TMPFS),
        "environment": dict(order.environment),
        "init": True,
        "labels": {LABEL: ""},
        "mounts": [Mount(target, str(source.absolute()), type="bind", read_only=not writable) for source, target, writable in order.mounts],
    }
    if order.gpus:
        which = {"count": -1} if order.gpus == "all" else {"device_ids": order.gpus.split(",")}
        options["device_requests"] = [DeviceRequest(capabilities=[["gpu"]], **which)]
    # Without memswap_limit, Docker lets a container swap as much again.
    limits = {"mem_limit": order.memory, "memswap_limit": order.memory}
    optional = {"user": order.user, "working_dir": order.workdir, **limits}
    return {**options, **{key: value for key, value in optional.items() if value}}


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines from chunks that may end anywhere, without what is behind LONGEST_LINE bytes of each."""
    line = bytearray()
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            line += part[: LONGEST_LINE - len(line)]
            yield line.decode(errors="replace")
            line.clear()
        line += rest[: LONGEST_LINE - len(line)]
    if line:
        yield line.decode(errors="replace")


def _end_of(chunks: Iterable[bytes]) -> str:
    """The last of what a container wrote, of which there may be any amount."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-KEPT:]
    return end.decode(errors="replace")
