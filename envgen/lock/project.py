"""The first half of the line: profile -> lock, and what can be said of a lock. Prints nothing."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envgen.core.errors import ProfileError, StaleLockError, StaleLockErrors
from envgen.core.parallel import together
from envgen.core.settings import Settings
from envgen.core.target import Target
from envgen.lock import folder as lock_folder
from envgen.lock import make
from envgen.lock.model import Lock, Package, digest_of, dump_lock
from envgen.lock.resolvers import Resolver
from envgen.lock.stale import differences
from envgen.profiles.catalog import LOCK_FILE
from envgen.profiles.model import Profile
from envgen.sources.index import IndexClient
from envgen.workspace import Workspace

if TYPE_CHECKING:
    from envgen.lock.why import Held

MakeResolver = Callable[[Settings, IndexClient], Resolver]
"""Makes a resolver that asks the indexes of one run; the command line chooses which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A lock that was made: where, and whether its files changed."""

    target: Target
    folder: Path
    changed: bool
    packages: int


def write_locks(work: Workspace, profile: Profile, targets: Sequence[Target], make_resolver: MakeResolver) -> tuple[Written, ...]:
    """Locks `profile` for all `targets` at the same time; writes nothing unless all of them resolve.

    Raises ResolutionError and its kin, ProfileError, or UsageError for a resolver that can't do a target.
    """
    now = dt.datetime.now(tz=dt.UTC)
    if profile.instant() > now:
        where = f"{dict(profile.origins).get('as_of', profile.name)}: as_of"
        problem = f"found {profile.as_of}, which has not begun in UTC: what the indexes will have by then is not known"
        raise ProfileError(where, problem, hint=f"use {now:%Y-%m-%d} or earlier")
    bounds = work.catalog.bounds(profile)

    def lock(target: Target) -> dict[str, bytes]:
        made = make.make_lock(profile, bounds, target, sources)
        work.reporter.step(f"{profile.name} {target.slug}: {len(made.packages)} packages")
        return lock_folder.files_of(made, work.catalog)

    client = work.client({index.name: index.url for index in profile.indexes})
    sources = make.Sources(resolver=make_resolver(work.settings, client), client=client, store=work.store, hub=work.hub())
    for target in targets:
        sources.resolver.check(target)
    made = together(lock, targets, at_once=len(targets))
    written = []
    for target, files in zip(targets, made, strict=True):
        folder = work.catalog.lock_folder(profile.name, target)
        changed = lock_folder.write_files(folder, files)
        count = files[LOCK_FILE].count(b"[[package]]")
        written.append(Written(target=target, folder=folder, changed=changed, packages=count))
    return tuple(written)


def check_locks(work: Workspace, wanted: Sequence[tuple[Profile, Target]]) -> None:
    """Raises StaleLockError, or StaleLockErrors, with all that differs, unless the locks are what the profiles say; offline."""
    stale: list[StaleLockError] = []
    for profile, target in wanted:
        try:
            found = differences(work.catalog, profile, work.catalog.bounds(profile), target)
        except StaleLockError as error:
            stale.append(error)
            continue
        if found:
            label = work.catalog.label(work.catalog.lock_folder(profile.name, target))
            problem = "the lock is stale\n" + "\n".join(found)
            stale.append(StaleLockError(label, problem, hint=f"run: envgen lock {profile.name}"))
    if stale:
        raise stale[0] if len(stale) == 1 else StaleLockErrors(tuple(stale))


def checked_lock(work: Workspace, profile: Profile, target: Target) -> Lock:
    """The lock of `profile` for `target`, checked against the profile. Raises StaleLockError."""
    check_locks(work, [(profile, target)])
    lock, folder = lock_folder.read_lock(work.catalog, profile, target)
    work.reporter.step(f"lock: {work.catalog.label(folder / LOCK_FILE)} ({digest_of(dump_lock(lock))[:19]}), {len(lock.packages)} packages")
    return lock


def wanted_locks(work: Workspace, names: Sequence[str], slug: str) -> tuple[Lock, ...]:
    """The locks of the profiles `names` (none: the project's own) for the target `slug` (empty: all), each checked against its profile.

    Raises StaleLockError or StaleLockErrors, and UsageError for a name that there is not.
    """
    profiles = [work.catalog.profile(name) for name in dict.fromkeys(names or work.catalog.own_profiles())]
    wanted = [(profile, target) for profile in profiles for target in profile.find_targets(slug)]
    check_locks(work, wanted)
    return tuple(lock_folder.read_lock(work.catalog, profile, target)[0] for profile, target in wanted)


def why(work: Workspace, profile: Profile, lock: Lock, target: Target, package: Package) -> "tuple[Held, ...]":
    """What holds back the newer releases of `package`. Raises IndexUnavailableError."""
    from envgen.lock.why import Scene, held_back

    bounds = work.catalog.bounds(profile)
    client = work.client({index.name: index.url for index in profile.indexes})
    query = make.query_for(profile, bounds, target)
    return held_back(package, Scene(lock=lock, query=query, bounds=bounds, client=client, store=work.store))
