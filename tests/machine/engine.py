"""A Docker Engine that can build: the one that answers if it is good enough, else one of our own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import apt
import daemon
from common import STATE, MachineError, attempt, run, say, substituted, wait_until

BIN = STATE / "bin"
DEBIANS = Path("/usr/bin/docker")
UNKNOWN = (0, 0)
MINIMUM_BUILDKIT = (0, 13)
MINIMUM_ENGINE = 26  # the first with BuildKit 0.13
HELPERS = ("runc", "iptables", "iproute2", "tini", "ca-certificates")


def command_lines() -> Iterator[Path]:
    """Every `docker` on PATH, and Debian's, which may stand behind a newer one that has no buildx."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in (*folders, DEBIANS.parent):
        path = folder / "docker"
        # Our own link would lead to itself when somebody runs us inside our own environment.
        if folder != BIN and os.access(path, os.X_OK):
            yield path


def has_buildx(docker: Path) -> bool:
    """Whether this `docker` can build."""
    return attempt([docker, "buildx", "version"]) is not None


def find_command_line() -> Path | None:
    """The first `docker` that has buildx."""
    return next(filter(has_buildx, command_lines()), None)


def use_command_line(docker: Path) -> None:
    """Make this `docker` the first on the PATH that we hand on, and nothing else of its folder."""
    BIN.mkdir(parents=True, exist_ok=True)
    link = BIN / "docker"
    link.unlink(missing_ok=True)
    link.symlink_to(docker)


def shortcomings(docker: Path, host: str | None) -> str | None:
    """Why this engine won't do, or None when it will. With host None the user's own settings decide which it is."""
    env = dict(os.environ) if host is None else {**os.environ, "DOCKER_HOST": host}
    answer = attempt([docker, "info", "--format", "{{json .}}"], env=env, timeout=15)
    try:
        info = json.loads(answer or "null")
    except ValueError:
        info = None
    if not info or not info.get("ServerVersion"):
        return "no engine answers"
    version = info["ServerVersion"]
    if "io.containerd.snapshotter" not in json.dumps(info.get("DriverStatus")):
        return f"Docker Engine {version} answers but its image store is not containerd's, so it has no manifest digests"
    inspected = attempt([docker, "buildx", "inspect"], env=env) or ""
    found = re.search(r"buildkit(?: version)?:\s+v?(\d+)\.(\d+)", inspected, re.IGNORECASE)
    buildkit = (int(found[1]), int(found[2])) if found else UNKNOWN
    # Debian's engine says v0.0.0+unknown for its BuildKit; its own version then tells as much.
    new_enough = engine_number(version) >= MINIMUM_ENGINE if buildkit == UNKNOWN else buildkit >= MINIMUM_BUILDKIT
    return None if new_enough else f"Docker Engine {version} answers but its BuildKit is older than 0.13"


def engine_number(version: str) -> int:
    """The first number of an engine's version."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def install() -> Path:
    """Install what an engine of our own needs; Debian's packages, and only those that are missing."""
    docker = find_command_line()
    if docker is None or not shutil.which("dockerd") or not shutil.which("containerd"):
        apt.install((*HELPERS, *apt.ENGINE_PACKAGES))
        docker = find_command_line()
    if docker is None:
        raise MachineError("docker buildx: not found after docker-buildx was installed", f"see what {DEBIANS} buildx version says")
    # The one that was built with this engine, where both can build.
    return DEBIANS if has_buildx(DEBIANS) else docker


def is_ready(docker: Path) -> bool:
    """Whether our own engine answers."""
    env = {**os.environ, "DOCKER_HOST": daemon.HOST}
    answer = attempt([docker, "version", "--format", "{{.Server.Version}}"], env=env, timeout=5)
    return bool(answer and answer.strip())


def ensure() -> str | None:
    """Make sure that an engine answers. The address of our own engine, or None when the user's is used."""
    docker = find_command_line()
    why = "no docker command with buildx is installed"
    if docker is not None and os.environ.get("DOCKER_HOST") != daemon.HOST:
        why = shortcomings(docker, None) or ""
        if not why:
            use_command_line(docker)
            say(f"engine: using the one that answers ({run([docker, 'version', '-f', '{{.Server.Version}}']).strip()})")
            return None
    docker = install()
    use_command_line(docker)
    substituted("Docker Engine with the containerd image store", f"a dockerd of our own at {daemon.HOST}", why)
    daemon.start()
    wait_until(lambda: is_ready(docker) or not daemon.is_running(), seconds=60)
    if not is_ready(docker):
        tail = daemon.log_tail()
        daemon.stop()
        raise MachineError(f"dockerd: no answer at {daemon.HOST} within 60 s{tail}", daemon.HINT)
    fault = shortcomings(docker, daemon.HOST)
    if fault:
        raise MachineError(f"dockerd at {daemon.HOST}: {fault}", "python3 tests/machine clean, then try again")
    return daemon.HOST
