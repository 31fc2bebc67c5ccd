"""The files of a lock in its folder: written whole, and read back."""

from collections.abc import Sequence
from pathlib import Path

from envgen.core.errors import DiskFullError, StaleLockError, UsageError
from envgen.core.parallel import defer_signals
from envgen.core.target import Target
from envgen.core.tempdirs import is_full, remove_stale, temp_dir
from envgen.image.layer_record import RECORD_FILE, RecordedPythons, parse_records
from envgen.lock import render
from envgen.lock.format import parse_lock
from envgen.lock.model import Lock, dump_lock
from envgen.profiles.catalog import DOCKERFILE, LOCK_FILE, REQUIREMENTS_FILE, Project
from envgen.profiles.model import Profile


def files_of(lock: Lock, project: Project) -> dict[str, bytes]:
    """The lock and its renderings, by file name."""
    files = {REQUIREMENTS_FILE: render.render_requirements(lock, project.template(render.REQUIREMENTS)).encode()}
    if lock.base:
        files[DOCKERFILE] = render.render_dockerfile(lock, project.template(render.DOCKERFILE)).encode()
    return {**files, LOCK_FILE: dump_lock(lock)}


def write_files(folder: Path, files: dict[str, bytes]) -> bool:
    """Writes `files` into `folder`, each whole, the lock last; says whether anything changed.

    An interruption waits until all are in place, and a failure puts back what was there, so that a lock and its renderings
    stay together. A Dockerfile that is not among them belonged to a base that the profile has no more, and is removed.
    Raises UsageError when the folder can't be written, DiskFullError when the disk is full.
    """
    return _put(folder, files, [] if DOCKERFILE in files else [folder / DOCKERFILE])


def write_records(folder: Path, content: bytes) -> bool:
    """Writes the record of a lock's layers beside it, whole; says whether anything changed. Raises as `write_files` does."""
    return _put(folder, {RECORD_FILE: content}, [])


def read_records(project: Project, folder: Path, profile: str) -> RecordedPythons:
    """What is recorded of the layers of the lock in `folder`; nothing where there is no record. Raises StaleLockError."""
    path = folder / RECORD_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StaleLockError(project.label(path), f"can't be read: {error.strerror}") from error
    return parse_records(data, project.label(path), profile)


def _put(folder: Path, files: dict[str, bytes], dropped: Sequence[Path]) -> bool:
    remove_stale(folder)
    same = all((folder / name).is_file() and (folder / name).read_bytes() == content for name, content in files.items())
    if same and not any(path.exists() for path in dropped):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with defer_signals(), temp_dir("lock", folder) as fresh:
            _replace_all(folder, files, fresh)
            for path in dropped:
                path.unlink(missing_ok=True)
    except OSError as error:
        if is_full(error):
            raise DiskFullError(str(folder), "the disk is full; nothing was changed", hint="make room there") from error
        problem = f"can't be written: {error.strerror or error}; nothing was changed"
        raise UsageError(str(error.filename or folder), problem, hint="make room there, or remove what is in the way") from error
    return True


def _replace_all(folder: Path, files: dict[str, bytes], fresh: Path) -> None:
    """Puts `files` in place by way of the folder `fresh`, or back what was there before. Raises OSError."""
    for name, content in files.items():
        _write(fresh / f"{name}.new", content)
        # Now, since putting it back must need no room.
        if (folder / name).exists():
            _write(fresh / f"{name}.old", (folder / name).read_bytes())
    placed = []
    try:
        for name in files:
            (fresh / f"{name}.new").replace(folder / name)
            placed.append(folder / name)
    except OSError:
        for path in placed:
            old = fresh / f"{path.name}.old"
            if old.exists():
                old.replace(path)
            else:
                path.unlink()
        raise


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


def read_lock(project: Project, profile: Profile, target: Target) -> tuple[Lock, Path]:
    """The lock of `profile` for `target` and its folder. Raises StaleLockError when there is none that can be read."""
    folder = project.find_lock_folder(profile.name, target)
    if folder is None:
        label = project.label(project.lock_folder(profile.name, target) / LOCK_FILE)
        raise StaleLockError(label, "there is no lock", hint=f"run: envgen lock {profile.name}")
    label = project.label(folder / LOCK_FILE)
    return parse_lock(read_file(folder / LOCK_FILE, label), label), folder


def read_file(path: Path, label: str) -> bytes:
    """The bytes of a lock or of a rendering of it, which messages call `label`. Raises StaleLockError when it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StaleLockError(label, f"can't be read: {error.strerror or error}") from error
