"""Exports everything that locks need into one archive for a machine without a network. Prints nothing."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from envgen.core.errors import DiskFullError, EngineError, EnvgenError, UsageError, VerificationError
from envgen.core.files import sha256_of
from envgen.core.tempdirs import temp_dir
from envgen.core.text import human_size
from envgen.engine import ImageStore
from envgen.image.bases import find_base, local_name
from envgen.lock import Lock
from envgen.lock.project import bases_of, fetch_command, require_cached, wheels_of
from envgen.oci import Archive, copy_image, temporary_folder
from envgen.offline.archive import ArchiveMember, base_entry, model_entry, wheel_entry, write_archive
from envgen.offline.model_files import files_of_model, locks_by_model, require_models
from envgen.sources import LockedModelFiles
from envgen.sources.wheel_store import check_space
from envgen.workspace import Workspace

ROOM = "make room, or write to a larger disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A locked base that is not in the archive, and why."""

    base: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A written archive: its sha256 (hex) and size in bytes, and its contents."""

    archive: str
    sha256: str
    size: int
    entries: tuple[ArchiveMember, ...]
    left_out: tuple[Skipped, ...]


def export_store(workspace: Workspace, locks: Sequence[Lock], path: Path, engine: ImageStore | None) -> Exported:
    """Writes everything that `locks` need into the archive `path`, atomically; without an `engine` it has no bases.

    Raises BuildError for missing wheels or models, VerificationError for corrupt ones, UsageError for a path that can't be written, and
    DiskFullError.
    """
    require_cached(workspace.store, locks)
    require_models(workspace, locks)
    with _new_file(path) as stream, temporary_folder() as folder:
        wheels = wheels_of(locks)
        content = {wheel_entry(wheel.file, wheel.sha256, wheel.size): workspace.store.path(wheel.sha256, wheel.file) for wheel in wheels}
        content.update(_models(workspace, locks))
        bases, left_out = _saved_bases(workspace, locks, engine, folder)
        content.update(bases)
        total = sum(entry.size for entry in content)
        check_space(path.parent, total, "the archive", ROOM)
        workspace.reporter.step(f"archive: writing {human_size(total, 'MB')}")
        write_archive(stream, content)
    entries = tuple(sorted(content, key=lambda entry: entry.path))
    return Exported(archive=str(path), sha256=sha256_of(path), size=path.stat().st_size, entries=entries, left_out=left_out)


def _models(workspace: Workspace, locks: Sequence[Lock]) -> dict[ArchiveMember, Path]:
    """The files of the models of `locks`; hub models are verified in full. Raises VerificationError."""
    content: dict[ArchiveMember, Path] = {}
    for lock in locks_by_model(locks):
        source = lock.model.source if lock.model else None
        if not isinstance(source, LockedModelFiles):
            content |= {wheel_entry(file.path.name, file.sha256, file.size): file.path for file in files_of_model(workspace, lock)}
            continue
        try:
            folder = workspace.models.verify(source)
        except VerificationError as error:
            raise VerificationError(error.where, error.problem, hint=f"fetch it again: {fetch_command([lock])}") from error
        content |= {model_entry(source, file): folder / file.name for file in source.files}
    return content


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that replaces `path` if the block succeeds, and is removed if it fails."""
    try:
        if str(path) == "-" or (path.exists() and not path.is_file()):
            problem = "not a regular file: the archive replaces it when complete, so it can't be a stream"
            raise UsageError(str(path), problem, hint="name a file, as in wheels.tar")
        path.parent.stat()  # fails if the folder is missing, which temp_dir would create
        with temp_dir("archive", path.parent) as folder:
            part = folder / "archive.part"
            with part.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.chmod(0o644)
            part.replace(path)
    except OSError as error:
        raise _file_error(error, path) from error


def _file_error(error: OSError, path: Path) -> EnvgenError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFullError(str(path), "the disk is full; the partial file was removed", hint=ROOM)
    return UsageError(str(path), f"can't be written: {error.strerror or error}", hint="name a file in a folder that you may write to")


def _saved_bases(
    workspace: Workspace, locks: Sequence[Lock], engine: ImageStore | None, folder: Path
) -> tuple[dict[ArchiveMember, Path], tuple[Skipped, ...]]:
    """Saves the bases of `locks` as archives in `folder`; returns those, and the bases that could not be saved."""
    saved: dict[ArchiveMember, Path] = {}
    left_out = []
    needed = bases_of(locks)
    for base in dict.fromkeys(base for base, _ in needed):
        try:
            if engine is None:
                raise EngineError("base", "--no-base")
            path = _save(engine, base, [platform for named, platform in needed if named == base], folder)
        except (EngineError, VerificationError) as error:
            left_out.append(Skipped(base=base, reason=error.problem))
            hint = f"; {fetch_command(locks)}" if engine else ""
            workspace.reporter.step(f"base: LEFT OUT: {base}: {error.problem}{hint}")
            continue
        saved[base_entry(base, sha256_of(path), path.stat().st_size)] = path
    return saved, tuple(left_out)


def _save(engine: ImageStore, base: str, platforms: Sequence[str], folder: Path) -> Path:
    """Saves a base in `folder`. Raises EngineError or VerificationError if the engine does not have it for all `platforms`."""
    digest = base.rpartition("@")[2]
    image = find_base(engine, base)
    if image is None:
        raise EngineError("docker", "not in the engine's store")
    saved, target = folder / "saved.tar", folder / f"{digest.rpartition(':')[2]}.tar"
    engine.save(image, saved)
    copy_image(saved, digest, local_name(digest), target)
    saved.unlink()
    with Archive(target) as archive:
        for platform in platforms:
            archive.image(platform=platform)
    return target
