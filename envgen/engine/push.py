"""Pushing an image through the engine, which sends what the registry has not, and nothing else."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from envgen.core.errors import EngineError
from envgen.engine import Line, Pushed

_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


def push_image(client: Any, digest: str, reference: str, on_line: Line) -> Pushed:  # the SDK has no types
    """Pushes the image `digest` as `reference`, which is NAME:TAG; the name is gone from the engine's store afterwards.

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
        raise EngineError(reference, f"can't be pushed: {error}", hint="is that a repository that you may push to?") from error


def _pushed(reference: str, events: Iterable[Mapping[str, Any]], on_line: Line) -> Pushed:
    """What the engine tells of a push. Raises EngineError when it tells of a failure."""
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
        raise EngineError(reference, "the engine ended the push without a digest", hint="push it by hand to see more: docker push")
    return Pushed(reference=reference, digest=digest, sent=tuple(sent))
