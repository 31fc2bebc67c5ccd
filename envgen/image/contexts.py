"""Wheels handed to another builder: folders of verified wheels that stay, or the indexes that it fetches them from. Prints nothing."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.core.settings import Settings, index_variable, mirror_of
from envgen.lock import Lock
from envgen.sources import Wheel, WheelStore


def write_contexts(store: WheelStore, groups: Mapping[str, Sequence[Wheel]], root: Path) -> dict[str, Path]:
    """A folder below `root` for each group with its verified wheels in it; the same wheels have the same folder in every profile.

    Raises VerificationError for a wheel that is damaged or not in the store, UsageError for a folder that can't be written.
    """
    folders = {}
    for group, wheels in groups.items():
        store.verify(wheels)
        content = "\n".join(f"{wheel.sha256} {wheel.file}" for wheel in wheels)
        folders[group] = root / f"{group}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        try:
            folders[group].mkdir(parents=True, exist_ok=True)
            for wheel in wheels:
                _place(store.path(wheel.sha256, wheel.file), folders[group] / wheel.file)
        except OSError as error:
            raise UsageError(str(root), f"can't be written: {error.strerror or error}", hint="name another folder") from error
    return folders


def _place(wheel: Path, place: Path) -> None:
    """Puts a wheel in its place, whole, in place of whatever is there: a link where the file system can, else a copy."""
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        os.link(wheel, fresh)
    except OSError:
        shutil.copyfile(wheel, fresh)
    fresh.replace(place)
    fresh.unlink(missing_ok=True)  # renaming one name of a file to another of its names does nothing


def index_arguments(lock: Lock, settings: Settings) -> dict[str, str]:
    """The build arguments that name the mirrors of a Dockerfile's indexes, where there are any.

    Raises UsageError for a mirror that is a folder: no builder can reach it.
    """
    mirrors = {name: mirror_of(settings, name) for name in ("default", *(index.name for index in lock.indexes))}
    for name, mirror in mirrors.items():
        if mirror and not mirror.startswith(("http://", "https://")):
            problem = f"its mirror is the folder {mirror}, which a builder can't reach"
            raise UsageError(f"index {name}", problem, hint="hand the wheels in: --wheels DIR")
    return {index_variable(name): mirror for name, mirror in mirrors.items() if mirror}
