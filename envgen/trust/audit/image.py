"""Reads the audited image and its base from archives; only the base is run, to ask for its Python."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from envgen.core.errors import EngineError, EnvgenError, UsageError, VerificationError
from envgen.core.tempdirs import temp_dir
from envgen.core.text import printable
from envgen.engine import Engine, Image, ImageStore
from envgen.image.build import base_python
from envgen.lock import Lock
from envgen.lock.labels import ImageLabels
from envgen.oci import Archive, ImageDocuments
from envgen.sources.wheel_store import check_space
from envgen.trust.audit.configuration import labels_of
from envgen.trust.audit.layers import same_base


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedImage:
    """An image with its open archive; `name` is as given by the user. `others` is what else an engine may load from the archive.

    `others` is None for an image in the engine's store, whose archive is our own.
    """

    name: str
    archive: Archive
    documents: ImageDocuments
    others: tuple[str, ...] | None = None


@contextmanager
def opened(lock: Lock, engine: ImageStore, name: str) -> Iterator[AuditedImage]:
    """Opens the image called `name` (empty: the default tag), or in the archive at that path.

    Raises UsageError if there is none, VerificationError if it can't be read or is of another lock, EngineError, DiskFullError.
    """
    if name and _is_file(name):
        with Archive(Path(name)) as archive:
            documents = archive.image(platform=lock.platform)
            subject = AuditedImage(name=name, archive=archive, documents=documents, others=archive.others(documents))
            yield _of_this_lock(subject, lock)
        return
    image = engine.image(name or lock.tag)
    if image is None:
        hint = f"run: envgen build {lock.profile}; or name an OCI archive"
        raise UsageError(name or lock.tag, "no such image", hint=hint)
    with saved(engine, image) as archive:
        documents = archive.image(digest=image.digest, platform=lock.platform)
        yield _of_this_lock(AuditedImage(name=image.name, archive=archive, documents=documents), lock)


def _is_file(name: str) -> bool:
    with suppress(OSError):  # such as a name too long for a file
        return Path(name).is_file()
    return False


def _of_this_lock(subject: AuditedImage, lock: Lock) -> AuditedImage:
    """`subject`, if its label names `lock`; with another lock, nearly every file would be a finding."""
    found, expected = ImageLabels.read(labels_of(subject.documents.config)).lock or "none", lock.digest
    if found != expected:
        problem = f"label envgen.lock: found an image built from lock {printable(found[:19])}, expected {expected[:19]}"
        raise VerificationError(subject.name, problem, hint=f"run: envgen build {lock.profile}")
    return subject


@contextmanager
def saved(engine: ImageStore, image: Image) -> Iterator[Archive]:
    """The archive of an image in the engine's store, in a temporary file."""
    with temp_dir("audit") as folder:
        path = folder / "image.tar"
        check_space(path.parent, image.size, f"the archive of {image.name}", "make room, or set TMPDIR to a folder on a larger disk")
        engine.save(image, path)
        with Archive(path) as archive:
            yield archive


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedBase:
    """The base named by an image's labels, and the full version of its Python.

    `locked` is whether it is the locked one. If it is unavailable, `documents` is None and `missing` is the reason; if its Python could
    not be run, `unasked` is the reason, and the version is the one in the image's label.
    """

    reference: str
    locked: bool
    python: str
    documents: ImageDocuments | None = None
    missing: str = ""
    unasked: str = ""


def find_audited_base(documents: ImageDocuments, lock: Lock, engine: Engine) -> AuditedBase:
    """The base of the image with these `documents`, as far as it is in the engine's store."""
    labels = ImageLabels.read(labels_of(documents.config))
    reference = labels.built_on or lock.base
    audited_base = AuditedBase(reference=reference, locked=_pinned(reference) == _pinned(lock.base), python=_stated_python(labels, lock))
    try:
        base = _find_base(engine, reference, lock.platform)
    except EnvgenError as error:
        return replace(audited_base, missing=error.problem, unasked=error.problem)
    if not same_base(documents, base):
        # This base must not be run: it could be the very image under audit.
        return replace(audited_base, documents=base, unasked="the image is not built on its base")
    try:
        return replace(audited_base, documents=base, python=base_python(engine, reference, base.digest, lock))
    except EnvgenError as error:
        return replace(audited_base, documents=base, unasked=f"it {error.problem}")


def _pinned(reference: str) -> str:
    """The digest of a reference, or all of it if it has none."""
    return reference.partition("@")[2] or reference


def _stated_python(labels: ImageLabels, lock: Lock) -> str:
    """The full Python version in an image's label if it is plausible for the lock, else the lock's own."""
    stated = labels.python or ""
    return stated if re.fullmatch(rf"{re.escape(lock.python_minor)}\.\d+\w*", stated, re.ASCII) else lock.python


def _find_base(engine: ImageStore, reference: str, platform: str) -> ImageDocuments:
    """The base `reference` in the engine's store; its digest is that of its manifest.

    Raises EngineError if it is missing or no engine answers, and VerificationError if its archive can't be read.
    """
    pinned = reference.partition("@")[2]
    # The store may have it under a mirror's name, or without a name.
    image = engine.image(reference) or (engine.image(pinned) if pinned else None)
    if image is None:
        raise EngineError(reference, "the engine's store does not have it: pull it first")
    if pinned and image.digest != pinned:
        raise EngineError(reference, f"in the engine's store, this name is {image.digest}")
    with saved(engine, image) as archive:
        return archive.image(digest=image.digest, platform=platform)
