"""The engine: whether it answers and can build, its versions, and the platforms that it can run."""

from collections.abc import Sequence

from envgen.core.errors import EngineError
from envgen.doctor.finding import OK, PROBLEM, Finding
from envgen.engine import Builder, EngineInfo
from envgen.image import estimate
from envgen.lock import Lock


def ask(engine: Builder) -> tuple[EngineInfo | None, tuple[Finding, ...]]:
    """What the engine says of itself, None where it does not, or lacks what a build needs."""
    try:
        info = engine.check()
    except EngineError as error:
        cure = error.hint or "see what `docker info` says"
        return None, (Finding(subject="engine", status=PROBLEM, found=str(error), cure=cure),)
    versions = {"engine": f"{info.name} {info.version}, {info.image_store}", **info.tools}
    return info, tuple(Finding(subject=subject, status=OK, found=found) for subject, found in versions.items())


def platforms(locks: Sequence[Lock], info: EngineInfo) -> tuple[Finding, ...]:
    """Whether the engine can run what the locks are for; one finding a platform."""
    found = []
    for lock in {lock.platform: lock for lock in locks}.values():
        try:
            estimate.check_platform(lock, info)
        except EngineError as error:
            found.append(Finding(subject="platform", status=PROBLEM, found=error.problem, cure=error.hint))
        else:
            found.append(Finding(subject="platform", status=OK, found=lock.platform))
    return tuple(found)
