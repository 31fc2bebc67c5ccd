"""Checks this machine: the engine and its platforms, free disk space, GPUs and their driver."""

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
DRIVER_CURE = "reinstall the driver and restart the machine; `nvidia-smi` must list the GPUs"


def check_engine(engine: Builder) -> tuple[EngineInfo | None, tuple[Finding, ...]]:
    """Query the engine's versions; None if it does not respond or lacks what a build needs."""
    try:
        info = engine.check()
    except EngineError as error:
        cure = error.hint or "see: docker info"
        return None, (Finding(subject="engine", status=PROBLEM, found=str(error), cure=cure),)
    versions = {"engine": f"{info.name} {info.version}, {info.image_store}", **info.tools}
    return info, tuple(Finding(subject=subject, status=OK, found=version) for subject, version in versions.items())


def platforms(locks: Sequence[Lock], info: EngineInfo) -> tuple[Finding, ...]:
    """Whether the engine runs the platforms of the locks; one finding for each."""
    findings = []
    for lock in {lock.platform: lock for lock in locks}.values():
        try:
            estimate.check_platform(lock, info)
        except EngineError as error:
            findings.append(Finding(subject="platform", status=PROBLEM, found=error.problem, cure=error.hint))
        else:
            findings.append(Finding(subject="platform", status=OK, found=lock.platform))
    return tuple(findings)


def disk(workspace: Workspace, locks: Sequence[Lock], info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings on the wheel store's disk and the engine's, for the lock that needs the most space."""
    if not locks:
        reason = "no image to build"
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found=reason) for subject in ("wheel store", "engine's disk"))
    estimates = {lock.profile: estimate.estimate_build(workspace, lock) for lock in locks}
    largest, most = max(estimates.items(), key=lambda pair: (pair[1].disk, pair[1].download))
    store = workspace.settings.wheels
    space = _space("wheel store", store, most.download, f"the wheels of {largest}", "set ENVGEN_CACHE to a folder on a larger disk")
    if info is None or not info.data_root:
        reason = "the engine runs on another machine" if info else "no engine answers"
        return space, Finding(subject="engine's disk", status=NOT_APPLICABLE, found=reason)
    root = Path(info.data_root)
    # On a shared disk the wheels take up space before the build starts.
    shared = free_space(store)[0].stat().st_dev == root.stat().st_dev
    needed = most.disk + (most.download if shared else 0)
    what = f"building {largest}{' and its wheels' if shared and most.download else ''}"
    cure = "make room, e.g. with: docker builder prune && docker image prune; or move data-root (/etc/docker/daemon.json) to a larger disk"
    return space, _space("engine's disk", root, needed, what, cure)


def _space(subject: str, folder: Path, needed: int, what: str, cure: str) -> Finding:
    existing, free = free_space(folder)
    state = f"{human_size(free, 'MB')} free at {existing}"
    if not needed:
        return Finding(subject=subject, status=OK, found=f"{state}; {what}: all cached")
    enough = free >= needed + SPARE
    return Finding(
        subject=subject,
        status=OK if enough else PROBLEM,
        found=f"{state}; {what}: about {human_size(needed, 'MB')} needed",
        cure="" if enough else cure,
    )


def gpu(locks: Sequence[Lock], gpus: Gpus, toolkit: CudaTable, info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings on GPUs, for the lock whose CUDA needs the newest driver."""
    newest = max((lock for lock in locks if lock.cuda), key=lambda lock: int(lock.driver or 0), default=None)
    if newest is None:
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found="CUDA not used") for subject in GPU_SUBJECTS)
    if gpus.trouble:
        devices = Finding(subject="GPU", status=PROBLEM, found=gpus.trouble, cure=DRIVER_CURE)
    elif gpus.gpus:
        words = [f"{entry.name} ({human_size(entry.memory, 'MB')})" if entry.memory else entry.name for entry in gpus.gpus]
        devices = Finding(subject="GPU", status=OK, found=", ".join(words))
    else:
        state, cure = "no NVIDIA GPU: the gpu tier will be NOT RUN", "the other tiers run on a CPU; use a machine with a GPU for this one"
        devices = Finding(subject="GPU", status=WARNING, found=state, cure=cure)
    return devices, driver(newest, gpus, toolkit), _runtime(gpus, info)


def driver(lock: Lock, gpus: Gpus, toolkit: CudaTable) -> Finding:
    """Whether the driver supports the CUDA of a lock."""
    needs = f"{lock.profile} needs >={lock.driver} for CUDA {lock.cuda}"
    if not gpus.driver:
        return Finding(subject="driver", status=NOT_APPLICABLE, found=f"none found; {needs}")
    if gpus.branch >= int(lock.driver):
        return Finding(subject="driver", status=OK, found=f"{gpus.driver}; {needs}")
    return Finding(subject="driver", status=PROBLEM, found=f"{gpus.driver}; {needs}", cure=_old_driver_cure(lock, gpus.branch, toolkit))


def _old_driver_cure(lock: Lock, branch: int, toolkit: CudaTable) -> str:
    """The cure for an old driver: a newer driver, or the newest CUDA that it supports."""
    update = f"update the driver to {lock.driver} or newer"
    cuda = newest_cuda(toolkit, branch)
    if not cuda:
        return f"{update}, or use cpu-base: no CUDA version that torch is built for supports this one"
    return (
        f"{update}; or keep it and write profiles/NAME.toml with\n"
        f'  extends = "{lock.profile}"\n  description = "For drivers before {lock.driver}"\n  cuda = "{cuda}"\n'
        "then: envgen lock NAME && envgen build NAME"
    )


def newest_cuda(toolkit: CudaTable, branch: int) -> str:
    """The newest CUDA that torch is built for and that this driver branch supports; empty if there is none."""
    floors = {build.cuda: toolkit.driver(build.cuda) for build in toolkit.builds}
    fitting = [cuda for cuda, driver in floors.items() if driver and int(driver.floor) <= branch]
    return max(fitting, key=lambda cuda: [int(part) for part in cuda.split(".")], default="")


def _runtime(gpus: Gpus, info: EngineInfo | None) -> Finding:
    if info is None:
        return Finding(subject="GPU runtime", status=NOT_APPLICABLE, found="no engine answers")
    if info.gpus:
        return Finding(subject="GPU runtime", status=OK, found=info.gpus)
    if not gpus.driver:
        return Finding(subject="GPU runtime", status=NOT_APPLICABLE, found="none, and no GPU")
    return Finding(subject="GPU runtime", status=PROBLEM, found="the engine can't pass GPUs to containers", cure=info.gpu_cure)
