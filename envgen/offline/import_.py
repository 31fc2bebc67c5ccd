"""An archive from a machine with a network, taken into the store and into the engine's. Prints nothing."""

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
    """What became of something in an archive: it was added, was here already, or was left out."""

    TAKEN = "taken"
    THERE = "there"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A wheel (its file name), a model or a base in an archive: taken, there before and left as it was, or left out and why."""

    name: str
    kind: str
    status: ImportStatus
    reason: str = ""
    hint: str = ""


def import_store(workspace: Workspace, path: Path, engine: ImageStore | None) -> tuple[Imported, ...]:
    """Takes what is in the archive `path` into the stores and into the engine's; without an `engine` no base is taken.

    Everything is read and checked, also what was here before. What was taken before a fault is whole, and stays. A base that the
    engine does not take does not stop the others. Raises VerificationError and DiskFullError.
    """
    with StoreArchive(path) as archive:
        return (*_take_wheels(archive, workspace), *_take_models(archive, workspace), *_take_bases(archive, workspace, engine))


def _take_wheels(archive: StoreArchive, workspace: Workspace) -> Iterator[Imported]:
    new = [entry for entry in archive.wheels if not workspace.store.path(entry.sha256, entry.file).is_file()]
    check_space(workspace.settings.wheels, sum(entry.size for entry in new), "the wheels of the archive")
    total = sum(entry.size for entry in archive.wheels)
    with workspace.reporter.transfer(f"wheels: reading {len(archive.wheels)}, {len(new)} of them new", total) as advance:
        for entry in archive.wheels:
            is_new = workspace.store.add_from_stream(entry.file, entry.sha256, archive.content(entry))
            advance(entry.size)
            yield Imported(name=entry.file, kind=WHEEL, status=ImportStatus.TAKEN if is_new else ImportStatus.THERE)


def _take_models(archive: StoreArchive, workspace: Workspace) -> Iterator[Imported]:
    new = [model for model in archive.models if not workspace.models.folder(model.repo, model.commit).is_dir()]
    check_space(workspace.settings.models, sum(model.size for model in new), "the models of the archive")
    for model in archive.models:
        workspace.reporter.step(f"model: reading {model.name}")
        is_new = workspace.models.add_from_stream(model, partial(_content_of, archive, model))
        yield Imported(name=model.name, kind=MODEL, status=ImportStatus.TAKEN if is_new else ImportStatus.THERE)


def _content_of(archive: StoreArchive, model: LockedModelFiles, file: HubFile) -> Iterator[bytes]:
    return archive.content(model_entry(model, file))


def _take_bases(archive: StoreArchive, workspace: Workspace, engine: ImageStore | None) -> Iterator[Imported]:
    for entry in archive.bases:
        with temporary_folder() as folder:
            received = folder / "received.tar"
            _receive(archive, entry, received)
            item = Imported(name=entry.base, kind=BASE, status=ImportStatus.LEFT_OUT, reason="--no-base")
            if engine is not None:
                # Not as it came: an archive may have more images in it, with the names of others.
                copy_image(received, _digest(entry), local_name(_digest(entry)), folder / "base.tar")
                item = _load(entry, folder / "base.tar", engine)
        said = f"{item.status.upper()}: {item.reason}" if item.reason else f"{item.status} in the engine's store"
        workspace.reporter.step(f"base: {entry.base}: {said}")
        yield item


def _digest(entry: ArchiveMember) -> str:
    """The digest of a base, by which every reference in an archive is pinned."""
    return entry.base.rpartition("@")[2]


def _receive(archive: StoreArchive, entry: ArchiveMember, target: Path) -> None:
    """Writes a file of the archive into `target`."""
    try:
        with target.open("wb") as stream:
            for piece in archive.content(entry):
                stream.write(piece)
    except OSError as error:
        raise DiskFullError(str(target), f"can't be written: {error.strerror or error}", hint=TEMPORARY_ROOM) from error


def _load(entry: ArchiveMember, path: Path, engine: ImageStore) -> Imported:
    """Takes a base into the engine's store, where its digest must be the locked one."""
    try:
        there = find_base(engine, entry.base) is not None
        engine.load(path)
        if find_base(engine, entry.base) is None:
            raise EngineError("docker", "it does not hold the image that was loaded", hint="is its image store containerd's?")
    except EngineError as error:
        return Imported(name=entry.base, kind=BASE, status=ImportStatus.LEFT_OUT, reason=error.problem, hint=error.hint)
    return Imported(name=entry.base, kind=BASE, status=ImportStatus.THERE if there else ImportStatus.TAKEN)


def check_taken(items: Sequence[Imported]) -> None:
    """Raises EngineError, with all of them, when an engine did not take bases."""
    failed = [item for item in items if item.status is ImportStatus.LEFT_OUT and item.hint]
    if failed:
        lines = "\n".join(f"{item.name}: {item.reason}" for item in failed)
        problem = f"NOT taken, so that a build without a network would fail\n{lines}"
        raise EngineError("base", problem, hint=f"{failed[0].hint}; without bases: --no-base")
