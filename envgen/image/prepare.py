"""What comes before and after the build of an image: what it will take, its wheels, and the image it left. Prints nothing."""

from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import EngineError, SmokeError
from envgen.engine import EngineInfo, ImageStore
from envgen.image.build import Built
from envgen.lock import Lock
from envgen.lock.labels import ImageLabels
from envgen.lock.project import by_indexes, require_cached, wheels_of
from envgen.smoke.kit import Kit
from envgen.smoke.run import SmokeOptions
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFiles:
    """How many wheels there are and their bytes; how many of them were fetched just now, and the bytes of these."""

    wheels: int
    size: int
    fetched: int
    fetched_size: int


def estimate(workspace: Workspace, lock: Lock) -> BuildEstimate:
    """What building `lock` will take."""
    total = sum(wheel.size for wheel in lock.wheels)
    download = sum(wheel.size for wheel in workspace.store.missing(lock.fetched))
    return BuildEstimate(download=download, disk=DISK_START + total * DISK_PER_WHEEL_BYTE, seconds=BUILD_START + int(total / BUILD_RATE))


def check_disk(workspace: Workspace, lock: Lock, info: EngineInfo) -> None:
    """Raises DiskFullError before a build starts that would run out of disk."""
    wanted = estimate(workspace, lock)
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


def fetch(workspace: Workspace, *locks: Lock) -> FetchedFiles:
    """Brings every wheel of `locks` into the store, verified and each once.

    Raises ResolutionError, VerificationError or DiskFullError, and where no network may be used BuildError with all that is missing.
    """
    wheels = wheels_of(locks)
    missing = workspace.store.missing(wheels)
    total = sum(wheel.size for wheel in missing)
    if not missing:
        workspace.reporter.step(f"wheels: all {len(wheels)} are in the store")
    elif workspace.settings.offline:
        require_cached(workspace.store, locks)
    else:
        check_space(workspace.settings.wheels, total, "the wheels that are missing in the store")
        with workspace.reporter.transfer(f"wheels: fetching {len(missing)} of {len(wheels)}", total) as advance:
            for urls, group in by_indexes(locks, missing):
                workspace.packages(urls).fetch(group, advance)
    return FetchedFiles(wheels=len(wheels), size=sum(wheel.size for wheel in wheels), fetched=len(missing), fetched_size=total)


def existing(lock: Lock, engine: ImageStore, name: str) -> Built:
    """The image that was built from `lock` before.

    Raises SmokeError when there is none, or when it was built from another lock.
    """
    image = engine.image(name or lock.tag)
    if image is None:
        raise SmokeError(name or lock.tag, "there is no such image", hint=f"run: envgen build {lock.profile}")
    labels = ImageLabels.read(image.labels)
    if labels.lock != lock.digest:
        problem = f"found an image built from lock {(labels.lock or 'none')[:19]}, expected {lock.digest[:19]}"
        raise SmokeError(image.name, problem, hint=f"run: envgen build {lock.profile}")
    return Built(image=image, lock=lock, python=labels.python or lock.python, base=labels.built_on or lock.base)


def model_kit(workspace: Workspace, built: Built, bench: SmokeOptions) -> Kit:
    """What the model of a test is got with."""
    return Kit(
        image=built.image.name,
        lock=built.lock,
        bench=bench,
        packages=workspace.packages(built.lock.index_urls),
        hub=workspace.hub,
        models=workspace.models,
        known=workspace.project.model_wheels(),
        diagnoses=workspace.project.diagnoses(),
    )
