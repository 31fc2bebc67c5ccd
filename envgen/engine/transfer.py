"""Images on their way into the engine's store and out of it."""

import re
from pathlib import Path
from typing import Any

from envgen.core.errors import DiskFullError, EngineError
from envgen.engine import Image
from envgen.engine.registry import refusal

CHUNK = 1 << 20
"""Bytes of an archive that are handed on at a time."""

NO_SPACE = "no space left on device"
_TAG = re.compile(r":[^:/@]+@")
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
    """Takes the images in the OCI archive `path` into the store. Raises EngineError, and DiskFullError for the engine's disk."""
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
    """Gives `image` one more name. Raises EngineError."""
    from docker.errors import APIError

    repository, _, tag = name.rpartition(":")
    try:
        client.images.get(image.digest).tag(repository, tag)
    except APIError as error:
        raise EngineError("docker", f"{name} can't be the name of {image.digest[:19]}: {error.explanation}") from error


def pull_refused(reference: str, stderr: str) -> EngineError:
    """What to raise when `docker pull` of `reference` ended with `stderr`."""
    if NO_SPACE in stderr:
        return EngineError(reference, f"can't be pulled: {NO_SPACE}", hint=ENGINE_ROOM)
    # It speaks of what has a digest without the tag, and otherwise as buildx does.
    return refusal(_TAG.sub("@", reference), stderr.replace("Error response from daemon: ", "ERROR: "))
