"""Runs containers: in the background through Docker's SDK, or attached to our standard streams by the docker command."""

import contextlib
import csv
import io
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from envgen.core.errors import EngineError
from envgen.engine.interface import OnLine, RunRequest, RunResult

TMPFS = {"/tmp": "rw,nosuid,nodev,mode=1777"}  # noqa: S108  (a path in the container)

SHARED_MEMORY = "2g"
"""The limit of /dev/shm. Docker's default, 64 MB, is too little for DataLoader workers, which pass tensors through it and die with a bus
error when it is full. Only what is written there uses memory."""

LABEL = "envgen.run"
"""The label of our containers; none of our images has it."""

LEFT_AFTER = "1h"
"""The age at which a stopped container is considered abandoned: a running envgen removes its own at once."""

LONGEST_LINE = 1 << 20
"""The most bytes kept of a line: a container may write an endless one."""

KEPT = 1 << 16
"""The most bytes kept of a container's standard error."""

GPU_CURE = """\
install the NVIDIA Container Toolkit on the engine's host, then:
       nvidia-ctk runtime configure --runtime=docker && systemctl restart docker"""


def run_container(client: Any, request: RunRequest, on_line: OnLine) -> RunResult:  # the SDK has no types
    """Runs `request` and removes its container. Raises EngineError."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):  # another envgen is pruning right now
        client.containers.prune(filters={"label": LABEL, "until": LEFT_AFTER})
    try:
        own = _own_variables(client, request.image) if request.clear_environment else ()
        container = client.containers.create(request.image, list(request.command), **_options(request, own))
    except APIError as error:
        raise EngineError("docker", f"the container can't be created: {error.explanation}") from error
    try:
        watchdog = Watchdog(request.quiet, container.kill)
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
        hint = GPU_CURE if request.gpus else ""
        raise EngineError("docker", f"the container can't be run: {error.explanation}", hint=hint) from error
    finally:
        container.remove(force=True, v=True)
    return RunResult(code=code, out_of_memory=killed, stderr=stderr, stalled=watchdog.barked)


class Watchdog:
    """A context manager that calls `kill` once, in a thread, when `seconds` pass without `restart` (None: never)."""

    def __init__(self, seconds: float | None, kill: Callable[[], object]) -> None:
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
        """Starts counting again."""
        self.__exit__()
        if self._seconds and not self.barked:
            self._timer = threading.Timer(self._seconds, self._bark)
            self._timer.daemon = True
            self._timer.start()

    def _bark(self) -> None:
        from docker.errors import APIError

        self.barked = True
        with contextlib.suppress(APIError):  # it just exited by itself
            self._kill()


def _own_variables(client: Any, image: str) -> tuple[str, ...]:
    """The names of the variables that an image sets. Raises APIError."""
    return tuple(entry.partition("=")[0] for entry in (client.images.get(image).attrs.get("Config") or {}).get("Env") or ())


def _options(request: RunRequest, cleared: Collection[str] = ()) -> dict[str, Any]:
    """The SDK's options for `request`; `cleared` are the variables of the image that its program does not get."""
    from docker.types import DeviceRequest, Mount

    options: dict[str, Any] = {
        "read_only": True,
        "network_mode": request.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": dict(TMPFS),
        # A name without a value is removed from what the image sets.
        "environment": [
            *(f"{name}={value}" for name, value in request.environment.items()),
            *(name for name in cleared if name not in request.environment),
        ],
        # An empty list is none at all; left out, it would be the image's.
        "entrypoint": [],
        "healthcheck": {"test": ["NONE"]},
        "init": True,
        "labels": {LABEL: ""},
        "mounts": [
            Mount(target, str(source.absolute()), type="bind", read_only=not writable) for source, target, writable in request.mounts
        ],
    }
    if request.gpus:
        which = {"count": -1} if request.gpus == "all" else {"device_ids": request.gpus.split(",")}
        options["device_requests"] = [DeviceRequest(capabilities=[["gpu"]], **which)]
    # Without memswap_limit, Docker lets a container use as much swap again.
    limits = {"mem_limit": request.memory, "memswap_limit": request.memory}
    optional = {"user": request.user, "working_dir": request.workdir, **limits}
    return {**options, **{key: value for key, value in optional.items() if value}}


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Splits chunks into lines, each cut at LONGEST_LINE bytes."""
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
    """The end of a container's output, which may be of any length."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-KEPT:]
    return end.decode(errors="replace")


def attached_command(request: RunRequest, known: Mapping[str, str], *, terminal: bool) -> tuple[list[str], dict[str, str]]:
    """The arguments of `docker` that run `request`, and the variables that the docker command needs besides those in `known`.

    Values are passed in docker's own environment: all users of the machine can read command lines.
    """
    words = ["run", "--rm", "--interactive", "--init", "--pull", "never", "--read-only", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges", "--shm-size", SHARED_MEMORY, "--network", request.network]
    words += [word for path, options in TMPFS.items() for word in ("--tmpfs", f"{path}:{options}")]
    words += [word for mount in request.mounts for word in ("--mount", _mount(*mount))]
    variables = {}
    for name, value in request.environment.items():
        if known.get(name, value) == value:
            variables[name] = value
            words += ["--env", name]
        else:  # docker itself needs another value, as for SSL_CERT_FILE, whose path differs on the host and in the container
            words += ["--env", f"{name}={value}"]
    if terminal:
        words.append("--tty")
    if request.gpus:
        words += ["--gpus", "all" if request.gpus == "all" else f'"device={request.gpus}"']
    for option, text in (("--user", request.user), ("--workdir", request.workdir), ("--memory", request.memory and str(request.memory))):
        words += [option, text] if text else []
    return [*words, request.image, *request.command], variables


def _mount(source: Path, target: str, writable: bool) -> str:
    """The value of --mount: a CSV line, since paths may contain commas and quotes."""
    line = io.StringIO()
    fields = ["type=bind", f"source={source.absolute()}", f"target={target}", *(() if writable else ("readonly",))]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
