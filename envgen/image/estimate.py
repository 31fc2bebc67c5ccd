"""What a build will take, and whether this machine has that: disk, and an engine for the platform."""

from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import EngineError
from envgen.engine import EngineInfo
from envgen.lock import Lock
from envgen.sources.wheel_store import check_space
from envgen.workspace import Workspace

DISK_PER_WHEEL_BYTE = 5
"""What a build takes of the engine's disk for each byte of wheels: contexts, unpacked files, byte code and blobs."""

DISK_START = 1_200_000_000
"""What it takes besides, mostly for unpacked sources and byte code: both as measured for cpu-base and cuda, at the peak."""

BUILD_RATE = 27e6
"""Bytes of wheels that a build gets through in a second on two cores; a rough figure, for the estimate alone."""

BUILD_START = 30
"""The seconds that any build takes, mostly for the byte code of the Python packages; as rough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEstimate:
    """What a build will take: bytes to download, bytes of disk for the engine, seconds; all but the first are rough."""

    download: int
    disk: int
    seconds: int


def estimate_build(workspace: Workspace, lock: Lock) -> BuildEstimate:
    """What building `lock` will take."""
    total = sum(wheel.size for wheel in lock.wheels)
    download = sum(wheel.size for wheel in workspace.store.missing(lock.fetched))
    return BuildEstimate(download=download, disk=DISK_START + total * DISK_PER_WHEEL_BYTE, seconds=BUILD_START + int(total / BUILD_RATE))


def check_disk(workspace: Workspace, lock: Lock, info: EngineInfo) -> None:
    """Raises DiskFullError before a build starts that would run out of disk."""
    wanted = estimate_build(workspace, lock)
    check_space(workspace.settings.wheels, wanted.download, "the wheels that are missing in the store")
    if info.data_root:
        check_space(Path(info.data_root), wanted.disk, "the build")


def check_platform(lock: Lock, info: EngineInfo) -> None:
    """Raises EngineError when the engine can't run the programs of the lock's platform, as a build does."""
    fits = any(platform == lock.platform or platform.startswith(f"{lock.platform}/") for platform in info.platforms)
    if info.platforms and not fits:
        problem = f"the lock is for {lock.platform}, which this engine can't run: found {', '.join(info.platforms)}"
        machine = lock.platform.partition("/")[2]
        hint = f"build on such a machine, or add emulation: docker run --privileged --rm tonistiigi/binfmt --install {machine}"
        raise EngineError("docker", problem, hint=hint)
