"""Writes a file for `docker buildx bake`, and its wheels: any of buildx's builders makes the same digests from them."""

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
    """An image to build: its name in the file, the folder with its Dockerfile, and the request.

    `cache` is the image that stores the builder's cache, if any; `push` sends the built image to its registry.
    """

    name: str
    folder: Path
    request: BuildRequest
    cache: str | None = None
    push: bool = False


def bake_file(targets: Sequence[BakeTarget]) -> dict[str, object]:
    """The content of docker-bake.json. Bake treats JSON strings as templates, so template syntax is escaped."""
    named = {bake_name(target.name): _target(target) for target in targets}
    file = {"group": {"default": {"targets": list(named)}}, "target": named}
    escaped: dict[str, object] = _escaped(file)  # type: ignore[assignment]  # a mapping stays a mapping
    return escaped


def bake_name(text: str) -> str:
    """`text` as a valid name for bake."""
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
    """Puts the verified wheels of each group into a folder below `root`; the same wheels have the same folder in every profile.

    Raises VerificationError for a corrupt or missing wheel, UsageError for a folder that can't be written.
    """
    folders = {}
    for group, wheels in groups.items():
        store.verify(wheels)
        content = "\n".join(f"{wheel.sha256} {wheel.file}" for wheel in wheels)
        folders[group] = root / f"{group}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        try:
            folders[group].mkdir(parents=True, exist_ok=True)
            for wheel in wheels:
                _link_or_copy(store.path(wheel.sha256, wheel.file), folders[group] / wheel.file)
        except OSError as error:
            raise UsageError(str(root), f"can't be written: {error.strerror or error}", hint="name another folder") from error
    return folders


def _link_or_copy(wheel: Path, target: Path) -> None:
    """Atomically replaces `target` by a hard link to a wheel, or by a copy if the file system has no links."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(wheel, temporary)
    except OSError:
        shutil.copyfile(wheel, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # renaming a hard link to another link of the same file does nothing


def index_arguments(lock: Lock, settings: Settings) -> dict[str, str]:
    """The build arguments for mirrors of a Dockerfile's indexes, if any.

    Raises UsageError for a mirror that is a folder, which builders can't reach.
    """
    mirrors = {name: mirror_of(settings, name) for name in ("default", *(index.name for index in lock.indexes))}
    for name, mirror in mirrors.items():
        if mirror and not mirror.startswith(("http://", "https://")):
            problem = f"its mirror is the folder {mirror}, which builders can't reach"
            raise UsageError(f"index {name}", problem, hint="provide the wheels: --wheels DIR")
    return {index_variable(name): mirror for name, mirror in mirrors.items() if mirror}
