"""Moves images between the engine's store, files and registries."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envgen.core.errors import DiskFullError, EngineError
from envgen.engine.docker.registry import refusal
from envgen.engine.interface import Image, OnLine, Pushed

CHUNK = 1 << 20
"""Bytes of an archive that are written at a time."""

NO_SPACE = "no space left on device"
_TAG = re.compile(r":[^:/@]+@")
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
ENGINE_ROOM = "make room on the engine's disk, e.g. with: docker builder prune"


def save_image(client: Any, image: Image, path: Path) -> None:  # the SDK has no types
    """Writes `image` into the file `path` as an OCI archive. Raises DiskFullError."""
    try:
        with path.open("wb") as stream:
            for chunk in client.images.get(image.digest).save(chunk_size=CHUNK):
                stream.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        hint = "make room, or set TMPDIR to a folder on a larger disk"
        raise DiskFullError(str(path), f"the image can't be written there: {error.strerror or error}", hint=hint) from error


def load_image(client: Any, path: Path) -> None:
    """Loads the images in the OCI archive `path` into the store. Raises EngineError, and DiskFullError for the engine's disk."""
    from docker.errors import APIError

    reason = ""
    try:
        with path.open("rb") as stream:
            for answer in client.api.load_image(stream):
                reason = str(answer.get("error") or reason)
    except APIError as error:
        reason = str(error.explanation or error)
    if NO_SPACE in reason:
        raise DiskFullError("docker", f"the image can't be loaded: {reason}", hint=ENGINE_ROOM)
    if reason:
        raise EngineError("docker", f"the image can't be loaded: {reason}")


def tag_image(client: Any, image: Image, name: str) -> None:
    """Adds a name to `image`. Raises EngineError."""
    from docker.errors import APIError

    repository, _, tag = name.rpartition(":")
    try:
        client.images.get(image.digest).tag(repository, tag)
    except APIError as error:
        raise EngineError("docker", f"can't tag {image.digest[:19]} as {name}: {error.explanation}") from error


def pull_refused(reference: str, stderr: str) -> EngineError:
    """The error for a failed `docker pull` of `reference` that wrote `stderr`."""
    if NO_SPACE in stderr:
        return EngineError(reference, f"can't be pulled: {NO_SPACE}", hint=ENGINE_ROOM)
    # Its messages are buildx's, except that a reference with a digest loses its tag.
    return refusal(_TAG.sub("@", reference), stderr.replace("Error response from daemon: ", "ERROR: "))


def push_image(client: Any, digest: str, reference: str, on_line: OnLine) -> Pushed:  # the SDK has no types
    """Pushes the image `digest` as `reference` (NAME:TAG), and removes that name from the engine's store afterwards.

    Raises EngineError.
    """
    from docker.errors import DockerException

    repository, _, tag = reference.rpartition(":")
    try:
        client.images.get(digest).tag(repository, tag)
        try:
            return _pushed(reference, client.images.push(repository, tag=tag, stream=True, decode=True), on_line)
        finally:
            client.images.remove(reference, noprune=True)
    except DockerException as error:
        raise EngineError(reference, f"can't be pushed: {error}", hint="check that you may push to this repository") from error


def _pushed(reference: str, events: Iterable[Mapping[str, Any]], on_line: OnLine) -> Pushed:
    """The result of a push from the engine's events. Raises EngineError if they report a failure."""
    sent: dict[str, None] = {}
    digest = ""
    for event in events:
        status = str(event.get("status", ""))
        if "error" in event:
            hint = f"docker login {reference.partition('/')[0]}" if re.search(r"denied|authoriz|credential", str(event["error"])) else ""
            raise EngineError(reference, f"can't be pushed: {event['error']}", hint=hint)
        if event.get("id"):
            on_line(f"push: {event['id']} {status} {event.get('progress', '')}".rstrip())
        if status == "Pushed":
            sent[str(event["id"])] = None
        if match := _DIGEST.search(status):
            digest = match[1]
    if not digest:
        raise EngineError(reference, "the engine reported no digest after the push", hint="push it by hand to see more: docker push")
    return Pushed(reference=reference, digest=digest, sent=tuple(sent))
