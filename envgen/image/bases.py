"""Locked bases in the engine's own store, where a build without a network finds them. Prints nothing.

BuildKit asks the registry for `NAME:TAG@sha256:…`, also where that image is in the store: a pull keeps it as `NAME@sha256:…`, and a
mirror under the mirror's name. A name in the store is not asked about. So each base is given one, with its digest in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from envgen.core.errors import BuildError, EngineError
from envgen.core.settings import base_via_mirror
from envgen.engine import Image, ImageStore
from envgen.lock import Lock
from envgen.lock.project import bases_of, fetch_command
from envgen.workspace import Workspace


class BaseStatus(StrEnum):
    """What became of a base: it was fetched, was in the store already, or could not be fetched."""

    FETCHED = "fetched"
    THERE = "there"
    NOT_FETCHED = "not fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseState:
    """What became of the base of one platform, and why where it was not fetched."""

    base: str
    platform: str
    status: BaseStatus
    problem: str = ""
    hint: str = ""


def pinned_digest(reference: str) -> str | None:
    """The digest that `reference` is pinned by, None where it is not."""
    return reference.partition("@")[2] or None


def local_name(digest: str) -> str:
    """The name of a base in the engine's store; its registry is this host, so that nobody else is asked for what is missing."""
    return f"localhost/envgen-base:{digest.removeprefix('sha256:')}"


def find_base(engine: ImageStore, reference: str) -> Image | None:
    """The image of `reference` in the engine's store: a pinned one by its digest, whatever name it has there."""
    return engine.image(pinned_digest(reference) or reference)


def cached_base(engine: ImageStore, reference: str, lock: Lock) -> str:
    """The name in the engine's store of the base `reference` for `lock`. Raises BuildError when it is not there."""
    image = find_base(engine, reference)
    if image is None:
        command = fetch_command([lock]) if reference == lock.base else f"docker pull {reference}"
        hint = f"with a network: {command}; from an archive: envgen store import FILE"
        raise BuildError(f"base {reference}", "not in the engine's store, and no registry may be asked", hint=hint)
    return keep_base(engine, image)


def keep_base(engine: ImageStore, image: Image) -> str:
    """The name that a base in the engine's store is given, so that it stays there and a build finds it."""
    name = local_name(image.digest)
    engine.tag(image, name)
    return name


def fetch_bases(workspace: Workspace, locks: Sequence[Lock], engine: ImageStore) -> tuple[BaseState, ...]:
    """Brings the bases of `locks` into the engine's store, each by its digest; one that can't be had does not stop the others."""
    return tuple(_fetch(workspace, base, platform, engine) for base, platform in bases_of(locks))


def _fetch(workspace: Workspace, base: str, platform: str, engine: ImageStore) -> BaseState:
    try:
        image = find_base(engine, base)
        # An image for several platforms has some of them here, perhaps; the engine says of one only.
        there = image is not None and image.platform == platform
        if image is None or not there:
            image = engine.pull(base_via_mirror(workspace.settings, base), platform)
        keep_base(engine, image)
    except EngineError as error:
        workspace.reporter.step(f"base: NOT fetched: {base} for {platform}: {error.problem}")
        return BaseState(base=base, platform=platform, status=BaseStatus.NOT_FETCHED, problem=error.problem, hint=error.hint)
    workspace.reporter.step(f"base: {base} for {platform} {'is in' if there else 'fetched into'} the engine's store")
    return BaseState(base=base, platform=platform, status=BaseStatus.THERE if there else BaseStatus.FETCHED)


def check_fetched(states: Sequence[BaseState]) -> None:
    """Raises EngineError, with all of them, when bases could not be fetched."""
    failed = [state for state in states if state.status is BaseStatus.NOT_FETCHED]
    if failed:
        lines = "\n".join(f"{state.base} for {state.platform}: {state.problem}" for state in failed)
        hint = f"{failed[0].hint}; without bases: --no-base" if failed[0].hint else "without bases: --no-base"
        raise EngineError("base", f"NOT fetched, so that a build without a network would fail\n{lines}", hint=hint)
