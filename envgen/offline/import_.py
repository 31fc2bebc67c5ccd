"""Imports an archive from a machine with a network into the stores and the engine. Prints nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from envgen.core.errors import DiskFullError, EngineError
from envgen.engine import ImageStore
from envgen.image.bases import find_base, local_name
from envgen.oci import copy_image, temporary_folder
from envgen.oci.copy import TEMPORARY_ROOM
from envgen.offline.archive import BASE, MODEL, WHEEL, ArchiveMember, StoreArchive, model_entry
from envgen.sources import LockedModelFiles
from envgen.sources.models import HubFile
from envgen.sources.wheel_store import check_space
from envgen.workspace import Workspace


class ImportStatus(StrEnum):
    """What happened to something in an archive: it was added, was already here, or was left out."""

    TAKEN = "taken"
    THERE = "there"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A wheel (its file name), a model or a base in an archive, what happened to it, and why if it was left out."""

    name: str
    kind: str
    status: ImportStatus
    reason: str = ""
    hint: str = ""


def import_store(workspace: Workspace, path: Path, engine: ImageStore | None) -> tuple[Imported, ...]:
    """Adds the contents of the archive `path` to the stores and the engine; without an `engine`, bases are left out.

    Everything is read and checked, even what is already here. If an error stops the import, everything imported so far is complete and
    stays. A base that the engine rejects does not stop the others. Raises VerificationError and DiskFullError.
    """
    with StoreArchive(path) as archive:
        return (*_import_wheels(archive, workspace), *_import_models(archive, workspace), *_import_bases(archive, workspace, engine))


def _import_wheels(archive: StoreArchive, workspace: Workspace) -> Iterator[Imported]:
    new = [entry for entry in archive.wheels if not workspace.store.path(entry.sha256, entry.file).is_file()]
    check_space(workspace.settings.wheels, sum(entry.size for entry in new), "the wheels of the archive")
    total = sum(entry.size for entry in archive.wheels)
    with workspace.reporter.transfer(f"wheels: reading {len(archive.wheels)}, {len(new)} of them new", total) as advance:
        for entry in archive.wheels:
            is_new = workspace.store.add_from_stream(entry.file, entry.sha256, archive.content(entry))
            advance(entry.size)
            yield Imported(name=entry.file, kind=WHEEL, status=ImportStatus.TAKEN if is_new else ImportStatus.THERE)


def _import_models(archive: StoreArchive, workspace: Workspace) -> Iterator[Imported]:
    new = [model for model in archive.models if not workspace.models.folder(model.repo, model.commit).is_dir()]
    check_space(workspace.settings.models, sum(model.size for model in new), "the models of the archive")
    for model in archive.models:
        workspace.reporter.step(f"model: reading {model.name}")
        is_new = workspace.models.add_from_stream(model, partial(_content_of, archive, model))
        yield Imported(name=model.name, kind=MODEL, status=ImportStatus.TAKEN if is_new else ImportStatus.THERE)


def _content_of(archive: StoreArchive, model: LockedModelFiles, file: HubFile) -> Iterator[bytes]:
    return archive.content(model_entry(model, file))


def _import_bases(archive: StoreArchive, workspace: Workspace, engine: ImageStore | None) -> Iterator[Imported]:
    for entry in archive.bases:
        with temporary_folder() as folder:
            received = folder / "received.tar"
            _extract(archive, entry, received)
            item = Imported(name=entry.base, kind=BASE, status=ImportStatus.LEFT_OUT, reason="--no-base")
            if engine is not None:
                # Not loaded as is: the archive may contain further images, with arbitrary names.
                copy_image(received, _digest(entry), local_name(_digest(entry)), folder / "base.tar")
                item = _load(entry, folder / "base.tar", engine)
        workspace.reporter.step(f"base: {entry.base}: {_outcome(item)}")
        yield item


def _outcome(item: Imported) -> str:
    """What happened to a base, in words."""
    if item.status is ImportStatus.LEFT_OUT:
        return f"LEFT OUT: {item.reason}"
    return "loaded into the engine's store" if item.status is ImportStatus.TAKEN else "already in the engine's store"


def _digest(entry: ArchiveMember) -> str:
    """The digest of a base; every reference in an archive is pinned."""
    return entry.base.rpartition("@")[2]


def _extract(archive: StoreArchive, entry: ArchiveMember, target: Path) -> None:
    """Writes a file of the archive to `target`."""
    try:
        with target.open("wb") as stream:
            for piece in archive.content(entry):
                stream.write(piece)
    except OSError as error:
        raise DiskFullError(str(target), f"can't be written: {error.strerror or error}", hint=TEMPORARY_ROOM) from error


def _load(entry: ArchiveMember, path: Path, engine: ImageStore) -> Imported:
    """Loads a base into the engine's store, where it must have the locked digest."""
    try:
        existed = find_base(engine, entry.base) is not None
        engine.load(path)
        if find_base(engine, entry.base) is None:
            hint = "does Docker use the containerd image store?"
            raise EngineError("docker", "the loaded image is not in the engine's store", hint=hint)
    except EngineError as error:
        return Imported(name=entry.base, kind=BASE, status=ImportStatus.LEFT_OUT, reason=error.problem, hint=error.hint)
    return Imported(name=entry.base, kind=BASE, status=ImportStatus.THERE if existed else ImportStatus.TAKEN)


def check_imported(items: Sequence[Imported]) -> None:
    """Raises EngineError, naming all of them, if the engine did not load some bases."""
    failed = [item for item in items if item.status is ImportStatus.LEFT_OUT and item.hint]
    if failed:
        lines = "\n".join(f"{item.name}: {item.reason}" for item in failed)
        problem = f"NOT loaded: an offline build would fail\n{lines}"
        raise EngineError("base", problem, hint=f"{failed[0].hint}; without bases: --no-base")
