"""Writes and reads the files of a lock."""

from pathlib import Path

from envgen.core.errors import StaleLockError
from envgen.core.files import replace_files
from envgen.core.target import Target
from envgen.lock import render
from envgen.lock.format import parse_lock
from envgen.lock.model import Lock, dump_lock
from envgen.profiles import Profile, Project
from envgen.profiles.catalog import DOCKERFILE, LOCK_FILE, REQUIREMENTS_FILE


def files_of(lock: Lock, project: Project) -> dict[str, bytes]:
    """The lock and its renderings, by file name."""
    files = {REQUIREMENTS_FILE: render.render_requirements(lock, project.template(render.REQUIREMENTS_TEMPLATE)).encode()}
    if lock.base:
        files[DOCKERFILE] = render.render_dockerfile(lock, project.template(render.DOCKERFILE_TEMPLATE)).encode()
    return {**files, LOCK_FILE: dump_lock(lock)}


def write_files(folder: Path, files: dict[str, bytes]) -> bool:
    """Writes `files` into `folder` atomically, the lock last; returns whether anything changed.

    Interrupts wait until all files are in place, and a failure restores the old ones: a lock and its renderings never
    diverge. A Dockerfile not among `files` is removed: the profile no longer has a base.
    Raises UsageError if the folder can't be written, DiskFullError if the disk is full.
    """
    return replace_files(folder, files, [] if DOCKERFILE in files else [folder / DOCKERFILE])


def read_lock(project: Project, profile: Profile, target: Target) -> tuple[Lock, Path]:
    """The lock of `profile` for `target`, and its folder. Raises StaleLockError if it is missing or unreadable."""
    folder = project.find_lock_folder(profile.name, target)
    if folder is None:
        label = project.label(project.lock_folder(profile.name, target) / LOCK_FILE)
        raise StaleLockError(label, "there is no lock", hint=f"run: envgen lock {profile.name}")
    label = project.label(folder / LOCK_FILE)
    return parse_lock(read_file(folder / LOCK_FILE, label), label), folder


def read_file(path: Path, label: str) -> bytes:
    """The bytes of a lock or rendering, named `label` in messages. Raises StaleLockError if it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StaleLockError(label, f"can't be read: {error.strerror or error}") from error
