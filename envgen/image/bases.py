"""Stores locked bases in the engine, so that builds work offline. Prints nothing.

BuildKit asks the registry for `NAME:TAG@sha256:…` even if the store has the image: a pull stores it as `NAME@sha256:…`, and a mirror
under the mirror's name. It does not ask about a tag in the store. So each base gets a tag that contains its digest.
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
    """What happened to a base: it was fetched, was already in the store, or could not be fetched."""

    FETCHED = "fetched"
    THERE = "there"
    NOT_FETCHED = "not fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseState:
    """What happened to the base of one platform, and why if it was not fetched."""

    base: str
    platform: str
    status: BaseStatus
    problem: str = ""
    hint: str = ""


def pinned_digest(reference: str) -> str | None:
    """The digest that `reference` is pinned to; None if it is not pinned."""
    return reference.partition("@")[2] or None


def local_name(digest: str) -> str:
    """The name of a base in the engine's store; its registry is localhost, so that no other is asked if it is missing."""
    return f"localhost/envgen-base:{digest.removeprefix('sha256:')}"


def find_base(engine: ImageStore, reference: str) -> Image | None:
    """The image of `reference` in the engine's store; a pinned one is found by its digest, whatever its name."""
    return engine.image(pinned_digest(reference) or reference)


def cached_base(engine: ImageStore, reference: str, lock: Lock) -> str:
    """The local name of the base `reference` for `lock`. Raises BuildError if it is not in the engine's store."""
    image = find_base(engine, reference)
    if image is None:
        command = fetch_command([lock]) if reference == lock.base else f"docker pull {reference}"
        hint = f"with a network: {command}; from an archive: envgen store import FILE"
        raise BuildError(f"base {reference}", "not in the engine's store, and this is an offline build", hint=hint)
    return _tag_base(engine, image)


def _tag_base(engine: ImageStore, image: Image) -> str:
    """Tags a base with its local name, so that the engine keeps it and builds find it."""
    name = local_name(image.digest)
    engine.tag(image, name)
    return name


def fetch_bases(workspace: Workspace, locks: Sequence[Lock], engine: ImageStore) -> tuple[BaseState, ...]:
    """Pulls the bases of `locks` into the engine's store by digest; a failure does not stop the others."""
    return tuple(_fetch(workspace, base, platform, engine) for base, platform in bases_of(locks))


def _fetch(workspace: Workspace, base: str, platform: str, engine: ImageStore) -> BaseState:
    try:
        image = find_base(engine, base)
        # The store may have only some platforms of an image, and the engine reports one of them.
        existed = image is not None and image.platform == platform
        if image is None or not existed:
            image = engine.pull(base_via_mirror(workspace.settings, base), platform)
        _tag_base(engine, image)
    except EngineError as error:
        workspace.reporter.step(f"base: NOT fetched: {base} for {platform}: {error.problem}")
        return BaseState(base=base, platform=platform, status=BaseStatus.NOT_FETCHED, problem=error.problem, hint=error.hint)
    workspace.reporter.step(f"base: {base} for {platform} {'is in' if existed else 'fetched into'} the engine's store")
    return BaseState(base=base, platform=platform, status=BaseStatus.THERE if existed else BaseStatus.FETCHED)


def check_fetched(states: Sequence[BaseState]) -> None:
    """Raises EngineError, naming all of them, if bases could not be fetched."""
    failed = [state for state in states if state.status is BaseStatus.NOT_FETCHED]
    if failed:
        lines = "\n".join(f"{state.base} for {state.platform}: {state.problem}" for state in failed)
        hint = f"{failed[0].hint}; without bases: --no-base" if failed[0].hint else "without bases: --no-base"
        raise EngineError("base", f"NOT fetched: an offline build would fail\n{lines}", hint=hint)
