"""Pushes tested images to a registry, with a tag for each target, for each lock, and for all platforms. Prints nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from envgen.core.errors import BaseGoneError, StaleLockError, UsageError, VerificationError
from envgen.core.target import Target
from envgen.engine import Engine
from envgen.engine.interface import Pushed
from envgen.image.build import Built
from envgen.lock import Lock, folder
from envgen.profiles import Profile
from envgen.workspace import Workspace

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A pushed image under each of its tags, and the index of all platforms.

    `platforms` are those in the index; `absent` are the targets missing from it, since no image of their lock was pushed.
    """

    tags: tuple[Pushed, ...]
    index: str
    platforms: tuple[str, ...]
    absent: tuple[str, ...]


def tags_of(lock: Lock) -> tuple[str, str]:
    """The permanent tag for an image's lock, and the tag that moves to each new lock."""
    moving = f"{lock.profile}-{lock.target}"
    return f"{moving}-{lock.digest.removeprefix('sha256:')[:12]}", moving


def check_repository(repository: str) -> None:
    """Raises UsageError for an invalid repository."""
    if not _REPOSITORY.fullmatch(repository):
        problem = f"found {repository!r}, expected a repository without a tag"
        raise UsageError("--push", problem, hint="as in --push registry.example.com/team/images")


def publish_image(workspace: Workspace, built: Built, engine: Engine, repository: str) -> Published:
    """Pushes a tested image to `repository` (REGISTRY/NAME).

    Raises EngineError if the registry rejects it, VerificationError if the registry has a different digest afterwards.
    """
    pushed = []
    for tag in tags_of(built.lock):
        result = engine.push(built.image, f"{repository}:{tag}", workspace.reporter.detail)
        if result.digest != built.image.digest:
            problem = f"the registry has {result.digest} after the push, expected {built.image.digest}"
            raise VerificationError(f"{repository}:{tag}", problem, hint="is something else pushing to this tag?")
        pushed.append(result)
    return _with_index(workspace, built.lock, engine, repository, pushed)


def _with_index(workspace: Workspace, lock: Lock, engine: Engine, repository: str, pushed: Sequence[Pushed]) -> Published:
    """Points the tag for all platforms of one Python to the images of their current locks, as far as the registry has them."""
    profile = workspace.project.profile(lock.profile)
    present: dict[str, str] = {}
    absent = []
    for target in profile.targets():
        if target.python != lock.python_minor or not profile.base(target):
            continue
        digest = _digest_of(workspace, profile, target, engine, repository)
        if digest:
            present[target.platform] = digest
        else:
            absent.append(target.slug)
    index = f"{repository}:{lock.profile}-py{lock.python_minor.replace('.', '')}"
    engine.create_index(index, [f"{repository}@{digest}" for digest in present.values()])
    return Published(tags=tuple(pushed), index=index, platforms=tuple(present), absent=tuple(absent))


def _digest_of(workspace: Workspace, profile: Profile, target: Target, engine: Engine, repository: str) -> str:
    """The registry's digest of the image of `target`'s lock; empty if there is none."""
    try:
        lock, _ = folder.read_lock(workspace.project, profile, target)
        return engine.digest(f"{repository}:{tags_of(lock)[0]}")
    except (StaleLockError, BaseGoneError):
        return ""
