"""Compares locks with their profiles and describes the differences; offline."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement

from envgen.core.errors import StaleLockError
from envgen.core.target import Target
from envgen.lock import folder as lock_folder
from envgen.lock.demands import bounds_of
from envgen.lock.header import changed_facts, lock_without_packages
from envgen.lock.model import Lock
from envgen.profiles import Bound, Profile, Project
from envgen.profiles.catalog import DOCKERFILE


def up_to_date_lock(project: Project, profile: Profile, bounds: Sequence[Bound], target: Target) -> Lock:
    """The lock of `profile` for `target`, if it and its renderings match the profile; offline.

    Raises StaleLockError with all differences, or if the lock is missing, unreadable, or edited by hand.
    """
    lock, folder = lock_folder.read_lock(project, profile, target)
    differences = [*_changed_lock(lock, profile, bounds, target), *_changed_files(project, lock, folder)]
    if differences:
        label = project.label(project.lock_folder(profile.name, target))
        raise StaleLockError(label, "\n".join(["the lock is stale", *differences]), hint=f"run: envgen lock {profile.name}")
    return lock


def _changed_lock(lock: Lock, profile: Profile, bounds: Sequence[Bound], target: Target) -> list[str]:
    """The differences between `lock` and the profile."""
    expected = lock_without_packages(profile, bounds, target)
    # A profile has no hashes of its model: the rest is compared below.
    changed = changed_facts(lock, replace(expected, model=lock.model))
    facts = [f"{fact.name}: the lock has {fact.before}, the profile {fact.after}" for fact in changed]
    differences = [*facts, *_changed_demands(lock, profile, target), *_changed_model(lock, profile)]
    for package in lock.packages:
        if package.bounds != bounds_of(package.wheel.name, bounds):
            differences.append(f"{package.wheel.name}: the documented bounds on it have changed")
    if lock.inputs != expected.inputs and not differences:
        differences.append("the profile or a constraint set has changed in a way that may lead to other versions")
    return differences


def _changed_files(project: Project, lock: Lock, folder: Path) -> Iterator[str]:
    for name, content in lock_folder.files_of(lock, project).items():
        yield from _changed_file(folder / name, content, project.label(folder / name))
    if not lock.base and (folder / DOCKERFILE).exists():
        yield f"{project.label(folder / DOCKERFILE)}: is there, but no image is built for this target any more"


def _changed_demands(lock: Lock, profile: Profile, target: Target) -> Iterator[str]:
    locked = {package.wheel.name: package for package in lock.packages}
    requirements = profile.for_target(target).requirements
    for text in requirements:
        requirement = Requirement(text)
        package = locked.get(requirement.name)
        if package is None:
            yield f"{requirement.name}: the profile asks for {text!r}, the lock does not have it"
        elif not requirement.specifier.contains(package.wheel.version, prereleases=True):
            yield f"{requirement.name}: the profile asks for {text!r}, the lock has {package.wheel.version}"
    required = {Requirement(text).name for text in requirements}
    for package in lock.packages:
        if package.wheel.name not in required and {demand.name for demand in package.demands} == {lock.profile}:
            yield f"{package.wheel.name}: in the lock, but the profile does not ask for it"


def _changed_model(lock: Lock, profile: Profile) -> Iterator[str]:
    """The differences in model, prompt and expected answer; only images have a model."""
    if not lock.base:
        return
    model = lock.model
    locked = (model.name, model.prompt, model.expect) if model else ("", "", "")
    wanted = (profile.model, profile.prompt, profile.expect)
    for what, found, expected in zip(("model", "prompt", "expect"), locked, wanted, strict=True):
        if found != expected:
            yield f"smoke.{what}: the lock has {found or 'none'}, the profile {expected or 'none'}"


def _changed_file(path: Path, expected: bytes, label: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{label}: missing"
        return
    found = lock_folder.read_file(path, label)
    if found != expected:
        lines = difflib.unified_diff(
            found.decode(errors="replace").splitlines(), expected.decode().splitlines(), label, "what the lock gives", n=0, lineterm=""
        )
        yield "\n".join([f"{label}: not what the lock gives", *(f"    {line}" for line in list(lines)[2:12])])
