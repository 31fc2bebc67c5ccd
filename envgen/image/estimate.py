"""Estimates what a build needs, and checks that this machine has the disk space and an engine for the platform."""

from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import EngineError
from envgen.engine import EngineInfo
from envgen.lock import Lock
from envgen.sources.wheel_store import check_space
from envgen.workspace import Workspace

DISK_PER_WHEEL_BYTE = 5
"""Bytes of the engine's disk per byte of wheels: contexts, unpacked files, byte code and blobs."""

DISK_START = 1_200_000_000
"""Further bytes of disk, mostly for unpacked sources and byte code; both are peaks measured for cpu-base and cuda."""

BUILD_RATE = 27e6
"""Bytes of wheels per second of a build on two cores; a rough figure for the estimate."""

BUILD_START = 30
"""Seconds that any build takes, mostly to compile byte code; a rough figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEstimate:
    """Bytes to download, bytes of the engine's disk, and seconds of a build; all but the first are rough."""

    download: int
    disk: int
    seconds: int


def estimate_build(workspace: Workspace, lock: Lock) -> BuildEstimate:
    """Estimates the build of `lock`."""
    total = sum(wheel.size for wheel in lock.wheels)
    download = sum(wheel.size for wheel in workspace.store.missing(lock.fetched))
    return BuildEstimate(download=download, disk=DISK_START + total * DISK_PER_WHEEL_BYTE, seconds=BUILD_START + int(total / BUILD_RATE))


def check_disk(workspace: Workspace, lock: Lock, info: EngineInfo) -> None:
    """Raises DiskFullError if a build would run out of disk space."""
    estimate = estimate_build(workspace, lock)
    check_space(workspace.settings.wheels, estimate.download, "the missing wheels")
    if info.data_root:
        check_space(Path(info.data_root), estimate.disk, "the build")


def check_platform(lock: Lock, info: EngineInfo) -> None:
    """Raises EngineError if the engine can't run programs of the lock's platform, which a build needs."""
    fits = any(platform == lock.platform or platform.startswith(f"{lock.platform}/") for platform in info.platforms)
    if info.platforms and not fits:
        problem = f"the lock is for {lock.platform}, which this engine can't run: found {', '.join(info.platforms)}"
        machine = lock.platform.partition("/")[2]
        hint = f"build on a {machine} machine, or add emulation: docker run --privileged --rm tonistiigi/binfmt --install {machine}"
        raise EngineError("docker", problem, hint=hint)
