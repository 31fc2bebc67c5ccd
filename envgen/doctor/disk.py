"""Disk: what is free for the engine and for the wheel store, against what a build takes."""

from collections.abc import Sequence
from pathlib import Path

from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, Finding
from envgen.engine import EngineInfo
from envgen.image import estimate
from envgen.lock import Lock
from envgen.sources.wheel_store import SPARE, free_space, human_size
from envgen.workspace import Workspace


def disk(workspace: Workspace, locks: Sequence[Lock], info: EngineInfo | None) -> tuple[Finding, ...]:
    """Both findings, for the lock that takes most."""
    if not locks:
        nothing = "no image to build"
        return tuple(Finding(subject=subject, status=NOT_APPLICABLE, found=nothing) for subject in ("wheel store", "engine's disk"))
    wanted = {lock.profile: estimate.estimate_build(workspace, lock) for lock in locks}
    largest, most = max(wanted.items(), key=lambda pair: (pair[1].disk, pair[1].download))
    store = workspace.settings.wheels
    found = [_finding("wheel store", store, most.download, f"the wheels of {largest}", "set ENVGEN_CACHE to a folder on a larger disk")]
    if info is None or not info.data_root:
        reason = "its engine's host is another machine" if info else "no engine answers"
        return (*found, Finding(subject="engine's disk", status=NOT_APPLICABLE, found=reason))
    root = Path(info.data_root)
    # Where both share a disk, the wheels are there already when the build begins.
    shared = free_space(store)[0].stat().st_dev == root.stat().st_dev
    needed = most.disk + (most.download if shared else 0)
    what = f"building {largest}{' and its wheels' if shared and most.download else ''}"
    cure = "make room, e.g. with: docker builder prune && docker image prune; or set data-root in /etc/docker/daemon.json to a larger disk"
    return (*found, _finding("engine's disk", root, needed, what, cure))


def _finding(subject: str, folder: Path, needed: int, what: str, cure: str) -> Finding:
    existing, free = free_space(folder)
    found = f"{human_size(free)} free at {existing}"
    if not needed:
        return Finding(subject=subject, status=OK, found=f"{found}; {what}: all there")
    enough = free >= needed + SPARE
    return Finding(
        subject=subject,
        status=OK if enough else PROBLEM,
        found=f"{found}; {what}: {'takes' if enough else 'would take'} about {human_size(needed)}",
        cure="" if enough else cure,
    )
