"""This machine: its engine and the platforms that it runs, free disk against what a build takes, and GPUs with their driver."""

from collections.abc import Sequence
from pathlib import Path

from envgen.core.errors import EngineError
from envgen.core.text import human_size
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from envgen.engine import Builder, EngineInfo
from envgen.engine.gpus import Gpus
from envgen.image import estimate
from envgen.lock import Lock
from envgen.profiles import CudaTable
from envgen.sources.wheel_store import SPARE, free_space
from envgen.workspace import Workspace

GPU_SUBJECTS = ("GPU", "driver", "GPU runtime")
DRIVER_CURE = "install the driver again and restart the machine; `nvidia-smi` must list the GPUs"


def ask(engine: Builder) -> tuple[EngineInfo | None, tuple[Finding, ...]]:
    """Ask the engine for its versions; None if it does not answer or lacks what a build needs."""
    try:
        info = engine.check()
    except EngineError as error:
        cure = error.hint or "see what `docker info` says"
        return None, (Finding(subject="engine", status=PROBLEM, found=str(error), cure=cure),)
    versions = {"engine": f"{info.name} {info.version}, {info.image_store}", **info.tools}
    return info, tuple(Finding(subject=subject, status=OK, found=found) for subject, found in versions.items())


def platforms(locks: Sequence[Lock], info: EngineInfo) -> tuple[Finding, ...]:
    """Whether the engine can run what the locks are for; one finding a platform."""
    found = []
    for lock in {lock.platform: lock for lock in locks}.values():
        try:
            estimate.check_platform(lock, info)
        except EngineError as error:
            found.append(Finding(subject="platform", status=PROBLEM, found=error.problem, cure=error.hint))
        else:
            found.append(Finding(subject="platform", status=OK, found=lock.platform))
    return tuple(found)


def disk(workspace: Workspace, locks: Sequence[Lock], info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings on the wheel store's disk and the engine's, for the lock that needs most."""
    if not locks:
        nothing = "no image to build"
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found=nothing) for subject in ("wheel store", "engine's disk"))
    wanted = {lock.profile: estimate.estimate_build(workspace, lock) for lock in locks}
    largest, most = max(wanted.items(), key=lambda pair: (pair[1].disk, pair[1].download))
    store = workspace.settings.wheels
    found = [_space("wheel store", store, most.download, f"the wheels of {largest}", "set ENVGEN_CACHE to a folder on a larger disk")]
    if info is None or not info.data_root:
        reason = "its engine's host is another machine" if info else "no engine answers"
        return (*found, Finding(subject="engine's disk", status=NOT_APPLICABLE, found=reason))
    root = Path(info.data_root)
    # Where both share a disk, the wheels are there already when the build begins.
    shared = free_space(store)[0].stat().st_dev == root.stat().st_dev
    needed = most.disk + (most.download if shared else 0)
    what = f"building {largest}{' and its wheels' if shared and most.download else ''}"
    cure = "make room, e.g. with: docker builder prune && docker image prune; or set data-root in /etc/docker/daemon.json to a larger disk"
    return (*found, _space("engine's disk", root, needed, what, cure))


def _space(subject: str, folder: Path, needed: int, what: str, cure: str) -> Finding:
    existing, free = free_space(folder)
    found = f"{human_size(free, 'MB')} free at {existing}"
    if not needed:
        return Finding(subject=subject, status=OK, found=f"{found}; {what}: all there")
    enough = free >= needed + SPARE
    return Finding(
        subject=subject,
        status=OK if enough else PROBLEM,
        found=f"{found}; {what}: {'takes' if enough else 'would take'} about {human_size(needed, 'MB')}",
        cure="" if enough else cure,
    )


def gpu(locks: Sequence[Lock], found: Gpus, toolkit: CudaTable, info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings on GPUs, for the lock whose CUDA needs the newest driver."""
    wanted = max((lock for lock in locks if lock.cuda), key=lambda lock: int(lock.driver or 0), default=None)
    if wanted is None:
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found="no CUDA in it") for subject in GPU_SUBJECTS)
    if found.trouble:
        devices = Finding(subject="GPU", status=PROBLEM, found=found.trouble, cure=DRIVER_CURE)
    elif found.gpus:
        words = [f"{entry.name} ({human_size(entry.memory, 'MB')})" if entry.memory else entry.name for entry in found.gpus]
        devices = Finding(subject="GPU", status=OK, found=", ".join(words))
    else:
        said, cure = "no NVIDIA GPU: the gpu tier will be NOT RUN", "all other tiers run on a CPU; for this one take a machine with a GPU"
        devices = Finding(subject="GPU", status=WARNING, found=said, cure=cure)
    return devices, driver(wanted, found, toolkit), _runtime(found, info)


def driver(lock: Lock, found: Gpus, toolkit: CudaTable) -> Finding:
    """Whether the driver runs the CUDA of a lock."""
    if not found.driver:
        said = f"none found; {lock.profile} needs >={lock.driver} for CUDA {lock.cuda}"
        return Finding(subject="driver", status=NOT_APPLICABLE, found=said)
    said = f"{found.driver}; {lock.profile} needs >={lock.driver} for CUDA {lock.cuda}"
    if found.branch >= int(lock.driver):
        return Finding(subject="driver", status=OK, found=said)
    return Finding(subject="driver", status=PROBLEM, found=said, cure=_fitting(lock, found.branch, toolkit))


def _fitting(lock: Lock, branch: int, toolkit: CudaTable) -> str:
    """A cure for a driver that is too old: a newer one, or the newest CUDA that this one runs."""
    update = f"update the driver to {lock.driver} or newer"
    cuda = newest_cuda(toolkit, branch)
    if not cuda:
        return f"{update}; without that, take cpu-base: no CUDA that torch is built for runs on this one"
    return (
        f"{update}; or keep it, and write profiles/NAME.toml with\n"
        f'  extends = "{lock.profile}"\n  description = "For drivers before {lock.driver}"\n  cuda = "{cuda}"\n'
        "then: envgen lock NAME && envgen build NAME"
    )


def newest_cuda(toolkit: CudaTable, branch: int) -> str:
    """The newest CUDA that torch is built for and a driver of this branch runs; empty if there is none."""
    floors = {build.cuda: toolkit.driver(build.cuda) for build in toolkit.builds}
    fitting = [cuda for cuda, driver in floors.items() if driver and int(driver.floor) <= branch]
    return max(fitting, key=lambda cuda: [int(part) for part in cuda.split(".")], default="")


def _runtime(found: Gpus, info: EngineInfo | None) -> Finding:
    if info is None:
        return Finding(subject="GPU runtime", status=NOT_APPLICABLE, found="no engine answers")
    if info.gpus:
        return Finding(subject="GPU runtime", status=OK, found=info.gpus)
    if not found.driver:
        return Finding(subject="GPU runtime", status=NOT_APPLICABLE, found="the engine has none, and there is no GPU")
    return Finding(subject="GPU runtime", status=PROBLEM, found="the engine passes no GPU into a container", cure=info.gpu_cure)
