"""A command in an image as the one who asks for it: with the GPUs, the Hugging Face cache and the current folder. Runs nothing."""

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
"""Where the current folder is in the container."""

CACHES = {"HF_HOME": "/hf", "HF_HUB_CACHE": "/hf-hub"}
"""The variables that the hub's client takes its cache from, and where these folders are in the container."""

HANDED_ON = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE")

Mounts = tuple[tuple[Path, str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUser:
    """Who runs the command: `user` as UID:GID (empty: this system has none), a name, the folder they are in, their variables."""

    user: str
    name: str
    folder: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is asked for: `gpus` is `auto`, `none`, `all` or their numbers; `network` is one of docker's."""

    command: tuple[str, ...]
    gpus: str = AUTO
    network: str = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What will be run, and what the caller should know of it: a line that sums it up, and warnings."""

    order: RunRequest
    summary: str
    warnings: tuple[str, ...]


def this_caller(environ: Mapping[str, str]) -> HostUser:
    """The one who runs this process. Raises UsageError for a folder that can't be theirs in a container."""
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder", "is not there any more", hint="cd into one that is") from error
    if folder == Path(folder.anchor):
        problem = f"is {folder}: it would be mounted into the container, and be writable there, as a whole"
        raise UsageError("the current folder", problem, hint="cd into the folder that the command is to work in")
    user = f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else ""
    return HostUser(user=user, name=environ.get("USER") or environ.get("USERNAME") or "envgen", folder=folder, environ=environ)


def plan(image: Image, gpus: tuple[str, str], wishes: RunOptions, caller: HostUser, settings: Settings) -> RunPlan:
    """The order for `image`, by its digest; `gpus` is what `choose_gpus` gave.

    Makes the folders of the Hugging Face cache where they are missing.
    """
    online, certificates = settings.in_container() if wishes.network != NONE else ({"HF_HUB_OFFLINE": "1"}, ())
    caches, warnings = _caches(caller)
    places: Mounts = ((caller.folder, WORK, True), *((folder, CACHES[variable], True) for variable, folder in caches.items()))
    order = RunRequest(
        image=image.digest,
        command=wishes.command,
        mounts=(*places, *certificates),
        environment={
            # Without a name for the uid, getpass.getuser(), and so torch's own cache, would end in an error.
            "USER": caller.name,
            **{variable: CACHES[variable] for variable in caches},
            **{name: caller.environ[name] for name in HANDED_ON if caller.environ.get(name)},
            **online,
            # What makes an engine whose default runtime is NVIDIA's leave the GPUs out.
            **({} if gpus[0] else {"NVIDIA_VISIBLE_DEVICES": "void"}),
        },
        network=wishes.network,
        user=caller.user or None,
        gpus=gpus[0] or None,
        workdir=WORK,
    )
    words = [image.name, *([f"as {caller.user}"] if caller.user else []), gpus[1], f"network {wishes.network}"]
    words += [f"{inside} is {folder}" for folder, inside, _ in places]
    return RunPlan(order=order, summary=", ".join(words), warnings=(*_lacking("the current folder", caller.folder, caller.user), *warnings))


def _caches(caller: HostUser) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders of the cache that can be mounted, by variable, and what is wrong with them."""
    caches, warnings = {}, []
    for variable, folder in cache_folders(caller.environ).items():
        try:
            # As the hub's client itself would: without the folder, what is downloaded would go with the container.
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            warnings.append(
                f"{variable}: {folder} can't be made ({error.strerror}), downloads will be lost: set {variable} to a folder of yours"
            )
            continue
        caches[variable] = folder
        warnings += _lacking(variable, folder, caller.user)
    return caches, tuple(warnings)


def choose_gpus(lock: Lock, wish: str, info: EngineInfo, found: Gpus) -> tuple[str, str]:
    """What goes into the container, as in a RunOrder, and that in words.

    Raises UsageError for GPUs in an environment without CUDA, EngineError where the engine passes none in.
    """
    asked = wish not in (AUTO, NONE)
    if asked and not lock.cuda:
        raise UsageError(f"--gpus {wish}", f"{lock.profile} is locked without CUDA", hint="take a profile with it, such as cuda")
    if asked and not info.gpus:
        raise EngineError(f"--gpus {wish}", "this engine has nothing that passes GPUs into a container", hint=info.gpu_cure)
    if wish == NONE or not lock.cuda:
        return "", "on the CPU"
    if not info.gpus:
        return "", "on the CPU (this engine passes no GPU into a container)"
    # An engine on another machine may have GPUs that are not seen from here.
    if not asked and info.data_root and not (found.gpus or found.driver):
        return "", "on the CPU (there is no NVIDIA GPU here)"
    gpus = wish if asked else "all"
    return gpus, f"with GPUs {gpus} through {info.gpus}"


def cache_folders(environ: Mapping[str, str]) -> dict[str, Path]:
    """The folders of the Hugging Face cache by the variable that names each, as the hub's client finds them."""
    general = Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    found = {"HF_HOME": Path(environ.get("HF_HOME") or general)}
    if environ.get("HF_HUB_CACHE"):
        found["HF_HUB_CACHE"] = Path(environ["HF_HUB_CACHE"])
    return {variable: folder.expanduser().absolute() for variable, folder in found.items()}


def _lacking(what: str, folder: Path, user: str) -> Iterator[str]:
    """A warning with its cure where `user`, in the container, may not read or not write `folder`."""
    for bits, verb in ((0o5, "read"), (0o3, "written")):
        if not permits(folder, user, bits):
            owner = folder.stat().st_uid == int(user.partition(":")[0])
            cure = f"chmod u+rwx {shlex.quote(str(folder))}" if owner else f"take one that belongs to {user}"
            yield f"{what}: {folder} can't be {verb} by {user} in the container: {cure}"
            return


def permits(path: Path, user: str, bits: int) -> bool:
    """Whether the mode of `path` gives `user` (UID:GID) all of `bits`, such as 0o5 for reading and entering a folder.

    Not os.access: in the container there are neither the caller's other groups nor, without capabilities, what root may do.
    """
    if not user:
        return True
    uid, gid = (int(part) for part in user.split(":"))
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return status.st_mode >> shift & bits == bits
