"""Collects the findings of `envgen doctor`, in the order in which building and running an image would hit them."""

import os
from collections.abc import Mapping

from envgen.core.errors import ProfileError, StaleLockError, UsageError
from envgen.doctor.environment import environment
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from envgen.doctor.machine import check_engine, disk, gpu, platforms
from envgen.doctor.network import network
from envgen.engine import Builder
from envgen.engine.gpus import Gpus
from envgen.lock import Lock, project
from envgen.profiles import Profile
from envgen.workspace import Workspace


def examine_machine(
    workspace: Workspace, profile: str, engine: Builder, gpus: Gpus, environ: Mapping[str, str] = os.environ
) -> tuple[Finding, ...]:
    """Return the findings for `profile`, or for all profiles if it is empty.

    Raises UsageError for an unknown profile, ProfileError for an invalid one.
    """
    locks, lock_findings = _named(workspace, workspace.project.profile(profile)) if profile else _all(workspace)
    info, engine_findings = check_engine(engine)
    return (
        *engine_findings,
        *(platforms(locks, info) if info else ()),
        *disk(workspace, locks, info),
        *lock_findings,
        *gpu(locks, gpus, workspace.project.toolkit(), info),
        *environment(environ, workspace.settings),
        *network(workspace.settings, environ, info),
    )


def _named(workspace: Workspace, profile: Profile) -> tuple[tuple[Lock, ...], tuple[Finding, ...]]:
    """The lock that the image of `profile` is built from, and the findings on it."""
    try:
        target = profile.image_target("")
    except UsageError as error:
        return (), (Finding(subject="lock", status=NOT_APPLICABLE, found=f"{profile.name}: {error.problem}"),)
    try:
        lock = project.check_lock(workspace, profile, target)
    except StaleLockError as error:
        first = str(error).splitlines()[0]
        return (), (Finding(subject="lock", status=PROBLEM, found=first, cure=error.hint or f"run: envgen lock {profile.name}"),)
    folder = workspace.project.find_lock_folder(profile.name, target)
    return (lock,), (Finding(subject="lock", status=OK, found=workspace.project.label(folder) if folder else ""),)


def _all(workspace: Workspace) -> tuple[tuple[Lock, ...], tuple[Finding, ...]]:
    """The locks that are up to date, and warnings about the others."""
    locks: list[Lock] = []
    findings: list[Finding] = []
    for name in workspace.project.profiles():
        try:
            fresh, new = _named(workspace, workspace.project.profile(name))
        except (ProfileError, UsageError) as error:
            fault = error.faults()[0]
            new = (Finding(subject="profile", status=WARNING, found=str(fault).splitlines()[0], cure=fault.hint or "fix the profile"),)
        else:
            locks += fresh
        findings += (_as_warning(finding) for finding in new if finding.status in (PROBLEM, WARNING))
    names = ", ".join(lock.profile for lock in locks)
    return tuple(locks), (Finding(subject="lock", status=OK, found=f"up to date: {names}"), *findings) if locks else tuple(findings)


def _as_warning(finding: Finding) -> Finding:
    return Finding(subject=finding.subject, status=WARNING, found=finding.found, cure=finding.cure)
