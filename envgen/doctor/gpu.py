"""GPUs: whether there is one, whether its driver runs the CUDA of the profile, and whether the engine passes it on."""

from collections.abc import Sequence

from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from envgen.engine import EngineInfo
from envgen.engine.gpus import Gpus
from envgen.lock import Lock
from envgen.profiles import CudaTable
from envgen.sources.wheel_store import human_size

SUBJECTS = ("GPU", "driver", "GPU runtime")
MENDED = "install the driver again and restart the machine; `nvidia-smi` must list the GPUs"


def gpu(locks: Sequence[Lock], found: Gpus, toolkit: CudaTable, info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings for that lock with CUDA which wants the newest driver."""
    wanted = max((lock for lock in locks if lock.cuda), key=lambda lock: int(lock.driver or 0), default=None)
    if wanted is None:
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found="no CUDA in it") for subject in SUBJECTS)
    if found.trouble:
        devices = Finding(subject="GPU", status=PROBLEM, found=found.trouble, cure=MENDED)
    elif found.gpus:
        words = [f"{entry.name} ({human_size(entry.memory)})" if entry.memory else entry.name for entry in found.gpus]
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
    """The newest CUDA that torch is built for and the driver runs whose branch this is; empty for none."""
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
