"""Plans a command in an image, as the current user, with GPUs, the Hugging Face cache and the current folder. Runs nothing."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import EngineError, UsageError
from envgen.core.settings import Settings
from envgen.engine import EngineInfo, Image, RunRequest
from envgen.engine.gpus import Gpus
from envgen.lock import Lock

AUTO, NONE = "auto", "none"
WORK = "/workspace"
"""The path of the current folder in the container."""

CACHES = {"HF_HOME": "/hf", "HF_HUB_CACHE": "/hf-hub"}
"""The variables for the cache of the hub's client, and the paths of these folders in the container."""

PASSED_THROUGH = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE")

Mounts = tuple[tuple[Path, str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUser:
    """The user who runs the command: `user` is UID:GID (empty if the system has none), with a name, current folder and environment."""

    user: str
    name: str
    folder: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of `envgen run`: `gpus` is `auto`, `none`, `all` or their numbers; `network` is a Docker network."""

    command: tuple[str, ...]
    gpus: str = AUTO
    network: str = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The request to run, a one-line summary for the user, and warnings."""

    request: RunRequest
    summary: str
    warnings: tuple[str, ...]


def current_user(environ: Mapping[str, str]) -> HostUser:
    """The user of this process. Raises UsageError for a current folder that can't be mounted."""
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder", "no longer exists", hint="cd into an existing folder") from error
    if folder == Path(folder.anchor):
        problem = f"is {folder}: all of it would be mounted into the container, writable"
        raise UsageError("the current folder", problem, hint="cd into the folder that the command needs")
    user = f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else ""
    return HostUser(user=user, name=environ.get("USER") or environ.get("USERNAME") or "envgen", folder=folder, environ=environ)


def plan(image: Image, gpus: tuple[str, str], options: RunOptions, user: HostUser, settings: Settings) -> RunPlan:
    """Plans a run of `image`, by its digest; `gpus` comes from `choose_gpus`. Creates missing folders of the Hugging Face cache."""
    online, certificates = settings.in_container() if options.network != NONE else ({"HF_HUB_OFFLINE": "1"}, ())
    caches, warnings = _caches(user)
    mounts: Mounts = ((user.folder, WORK, True), *((folder, CACHES[variable], True) for variable, folder in caches.items()))
    request = RunRequest(
        image=image.digest,
        command=options.command,
        mounts=(*mounts, *certificates),
        environment={
            # Without a name for the uid, getpass.getuser() fails, and torch's own cache with it.
            "USER": user.name,
            **{variable: CACHES[variable] for variable in caches},
            **{name: user.environ[name] for name in PASSED_THROUGH if user.environ.get(name)},
            **online,
            # Keeps GPUs out if the engine's default runtime is NVIDIA's.
            **({} if gpus[0] else {"NVIDIA_VISIBLE_DEVICES": "void"}),
        },
        network=options.network,
        user=user.user or None,
        gpus=gpus[0] or None,
        workdir=WORK,
    )
    words = [image.name, *([f"as {user.user}"] if user.user else []), gpus[1], f"network {options.network}"]
    words += [f"{inside} is {folder}" for folder, inside, _ in mounts]
    warnings = (*_permission_warnings("the current folder", user.folder, user.user), *warnings)
    return RunPlan(request=request, summary=", ".join(words), warnings=warnings)


def _caches(user: HostUser) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The cache folders that can be mounted, by variable, and warnings about them."""
    caches, warnings = {}, []
    for variable, folder in cache_folders(user.environ).items():
        try:
            # As the hub's client itself would: otherwise downloads would be lost with the container.
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cure = f"set {variable} to a folder of yours"
            warnings.append(f"{variable}: {folder} can't be created ({error.strerror}), downloads will be lost: {cure}")
            continue
        caches[variable] = folder
        warnings += _permission_warnings(variable, folder, user.user)
    return caches, tuple(warnings)


def choose_gpus(lock: Lock, option: str, info: EngineInfo, available: Gpus) -> tuple[str, str]:
    """The GPUs for a RunRequest (empty: none), and a description.

    Raises UsageError for GPUs in an environment without CUDA, EngineError if the engine can't pass them in.
    """
    required = option not in (AUTO, NONE)
    if required and not lock.cuda:
        raise UsageError(f"--gpus {option}", f"{lock.profile} is locked without CUDA", hint="use a profile with CUDA, such as cuda")
    if required and not info.gpus:
        raise EngineError(f"--gpus {option}", "this engine can't pass GPUs into containers", hint=info.gpu_cure)
    if option == NONE or not lock.cuda:
        return "", "on the CPU"
    if not info.gpus:
        return "", "on the CPU (this engine can't pass GPUs into containers)"
    # An engine on another machine may have GPUs that are not visible from here.
    if not required and info.data_root and not (available.gpus or available.driver):
        return "", "on the CPU (no NVIDIA GPU found)"
    gpus = option if required else "all"
    return gpus, f"with GPUs {gpus} through {info.gpus}"


def cache_folders(environ: Mapping[str, str]) -> dict[str, Path]:
    """The folders of the Hugging Face cache by variable, as the hub's client finds them."""
    general = Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    folders = {"HF_HOME": Path(environ.get("HF_HOME") or general)}
    if environ.get("HF_HUB_CACHE"):
        folders["HF_HUB_CACHE"] = Path(environ["HF_HUB_CACHE"])
    return {variable: folder.expanduser().absolute() for variable, folder in folders.items()}


def _permission_warnings(what: str, folder: Path, user: str) -> Iterator[str]:
    """A warning with a cure if `user`, in the container, may not read or write `folder`."""
    for bits, verb in ((0o5, "read"), (0o3, "written")):
        if not permits(folder, user, bits):
            owner = folder.stat().st_uid == int(user.partition(":")[0])
            cure = f"chmod u+rwx {shlex.quote(str(folder))}" if owner else f"use one that belongs to {user}"
            yield f"{what}: {folder} can't be {verb} by {user} in the container: {cure}"
            return


def permits(path: Path, user: str, bits: int) -> bool:
    """Whether the mode of `path` gives `user` (UID:GID) all of `bits`, such as 0o5 for reading and entering a folder.

    Not os.access: the container has neither the user's other groups nor, without capabilities, root's privileges.
    """
    if not user:
        return True
    uid, gid = (int(part) for part in user.split(":"))
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return status.st_mode >> shift & bits == bits
