"""A file for `docker buildx bake`, and the wheels for it: any builder that buildx knows builds the same digests from them."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.core.settings import Settings, index_variable, mirror_of
from envgen.engine import BuildRequest
from envgen.engine.buildkit import output_of
from envgen.lock import Lock
from envgen.sources import Wheel, WheelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeTarget:
    """One image: its name in the file, the folder with its Dockerfile, and what is to be built.

    `cache` is the image that the builder's cache is kept in, None for none; `push` says whether what was built is sent to its registry.
    """

    name: str
    folder: Path
    request: BuildRequest
    cache: str | None = None
    push: bool = False


def bake_file(targets: Sequence[BakeTarget]) -> dict[str, object]:
    """What stands in docker-bake.json. Bake reads strings in JSON as templates, so what might be one is escaped."""
    named = {bake_name(target.name): _target(target) for target in targets}
    file = {"group": {"default": {"targets": list(named)}}, "target": named}
    escaped: dict[str, object] = _escaped(file)  # type: ignore[assignment]  # what is a mapping stays one
    return escaped


def bake_name(text: str) -> str:
    """`text` as a name that bake takes."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)


def _target(target: BakeTarget) -> dict[str, object]:
    request = target.request
    reference = f"type=registry,ref={target.cache}"
    cache = {"cache-from": [reference], "cache-to": [f"{reference},mode=max,compression={request.compression}"]} if target.cache else {}
    return {
        "context": str(target.folder),
        "contexts": {name: str(path) for name, path in request.contexts.items()},
        "args": dict(request.arguments),
        "labels": dict(request.labels),
        "tags": [request.tag],
        "platforms": [request.platform],
        "output": [f"{output_of(request)},push=true" if target.push else output_of(request)],
        "attest": ["type=provenance,disabled=true"],
        **cache,
    }


def _escaped(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return re.sub(r"([$%])\{", r"\1\1{", value) if isinstance(value, str) else value


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
