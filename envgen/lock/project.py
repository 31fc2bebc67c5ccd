"""Makes, checks and explains the locks of a project, and lists what they need. Prints nothing."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from envgen.core.errors import BuildError, ProfileError, ResolutionError, ResolutionErrors, StaleLockError, StaleLockErrors, UsageError
from envgen.core.parallel import map_parallel
from envgen.core.plain_files import check_no_links
from envgen.core.settings import Settings
from envgen.core.target import Target
from envgen.lock import folder as lock_folder
from envgen.lock import stale
from envgen.lock.model import Lock, Package
from envgen.lock.notice import Notice
from envgen.lock.resolvers import Resolver
from envgen.profiles import Profile, Project
from envgen.profiles.catalog import LOCK_FILE
from envgen.profiles.model import not_begun
from envgen.sources import Packages, Wheel, WheelStore
from envgen.workspace import Workspace

if TYPE_CHECKING:  # not needed to check a lock, and slow to import
    from envgen.lock.make import MadeLock
    from envgen.lock.why import HeldBack

_DATED = re.compile(r'package\."?(.*?)"?\.as_of')

MakeResolver = Callable[[Settings, Packages], Resolver]
"""Makes the resolver for one run; chosen by the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLock:
    """A new lock, its folder, whether its files changed, and the previous lock, None if missing or unreadable.

    `passing` are notices that depend on how this machine reaches an index, and so are not part of the lock.
    """

    target: Target
    folder: Path
    changed: bool
    before: Lock | None
    lock: Lock
    passing: tuple[Notice, ...] = ()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """All notices, locked and passing."""
        return (*self.lock.notices, *self.passing)


def write_locks(
    workspace: Workspace, profile: Profile, targets: Sequence[Target], make_resolver: MakeResolver, *, strict: bool = False
) -> tuple[WrittenLock, ...]:
    """Locks `profile` for all `targets` in parallel; writes nothing unless all resolve, with `strict` without any notices.

    Raises ResolutionError and its subclasses, ProfileError, or UsageError if the resolver does not support a target.
    """
    from envgen.lock.make import make

    _check_begun(profile)
    bounds = workspace.project.bounds(profile)
    for remark in profile.remarks():
        workspace.reporter.step(f"{profile.name}: {remark}")

    def lock(target: Target) -> "MadeLock":
        result = make(workspace, profile, bounds, target, resolver)
        workspace.reporter.step(f"{profile.name} {target.slug}: {len(result.lock.packages)} packages")
        return result

    resolver = make_resolver(workspace.settings, workspace.packages(profile.index_urls))
    for target in targets:
        check_no_links(workspace.project.folder, workspace.project.lock_folder(profile.name, target))
        resolver.check(target)
    made = map_parallel(lock, targets, at_once=len(targets))
    if strict:
        refuse_notices([(result.lock, (*result.lock.notices, *result.passing)) for result in made])
    files = [lock_folder.files_of(result.lock, workspace.project) for result in made]
    written = []
    for target, result, contents in zip(targets, made, files, strict=True):
        folder = workspace.project.lock_folder(profile.name, target)
        before = _before(workspace.project, profile, target)
        changed = lock_folder.write_files(folder, contents)
        written.append(WrittenLock(target=target, folder=folder, changed=changed, before=before, lock=result.lock, passing=result.passing))
    return tuple(written)


def refuse_notices(found: Sequence[tuple[Lock, Sequence[Notice]]]) -> None:
    """Raises ResolutionError, or ResolutionErrors, if any lock has notices."""
    faults = tuple(
        ResolutionError(f"{lock.profile} {lock.target.slug}: {notice.package}", notice.text, hint=notice.cure)
        for lock, notices in found
        for notice in notices
    )
    if faults:
        raise faults[0] if len(faults) == 1 else ResolutionErrors(faults)


def _check_begun(profile: Profile) -> None:
    """Raises ProfileError if an `as_of` is in the future: the profile's, or that of a single package."""
    days = [("as_of", profile.as_of)]
    for name, day in profile.moved:
        # The file may spell the name differently.
        paths = (path for path, _ in profile.origins if (match := _DATED.fullmatch(path)) and canonicalize_name(match[1]) == name)
        days.append((next(paths, f"package.{name}.as_of"), day))
    for path, day in days:
        if fault := not_begun(day):
            raise ProfileError(f"{profile.origin(path)}: {path}", fault[0], hint=fault[1])


def _before(project: Project, profile: Profile, target: Target) -> Lock | None:
    try:
        return lock_folder.read_lock(project, profile, target)[0]
    except StaleLockError:
        return None


def locked_names(project: Project, profile: Profile) -> frozenset[str]:
    """The packages in any readable lock of `profile`."""
    locks = (_before(project, profile, target) for target in profile.targets())
    return frozenset(wheel.name for lock in locks if lock for wheel in lock.wheels)


def check_locks(workspace: Workspace, wanted: Sequence[tuple[Profile, Target]]) -> tuple[Lock, ...]:
    """The locks of `wanted`, all up to date; offline.

    Raises StaleLockError, or StaleLockErrors, with all differences.
    """
    profiles = {profile.name: profile for profile, _ in wanted}
    bounds = {name: workspace.project.bounds(profile) for name, profile in profiles.items()}
    locks: list[Lock] = []
    faults: list[StaleLockError] = []
    for profile, target in wanted:
        try:
            locks.append(stale.up_to_date_lock(workspace.project, profile, bounds[profile.name], target))
        except StaleLockError as error:
            faults.append(error)
    if faults:
        raise faults[0] if len(faults) == 1 else StaleLockErrors(tuple(faults))
    return tuple(locks)


def check_lock(workspace: Workspace, profile: Profile, target: Target) -> Lock:
    """The up-to-date lock of `profile` for `target`; offline. Raises StaleLockError."""
    return check_locks(workspace, [(profile, target)])[0]


def checked_lock(workspace: Workspace, profile: Profile, target: Target) -> Lock:
    """Like `check_lock`, and reports which lock is used."""
    lock = check_lock(workspace, profile, target)
    folder = workspace.project.find_lock_folder(profile.name, target)
    assert folder is not None
    label = workspace.project.label(folder / LOCK_FILE)
    workspace.reporter.step(f"lock: {label} ({lock.digest[:19]}), {len(lock.packages)} packages")
    return lock


def wanted_locks(workspace: Workspace, names: Sequence[str], slug: str, *, images: bool = False) -> tuple[Lock, ...]:
    """The up-to-date locks of the profiles `names` (default: the project's own) for the target `slug` (empty: all).

    With `images`, only locks that an image is built from; raises UsageError if there are none.
    Raises StaleLockError or StaleLockErrors, and UsageError for an unknown name, or without names outside a project.
    """
    profiles = [workspace.project.profile(name) for name in dict.fromkeys(names or workspace.project.default_profiles())]
    wanted = [(profile, target) for profile in profiles for target in profile.find_targets(slug)]
    chosen = [(profile, target) for profile, target in wanted if profile.base(target)] if images else wanted
    if not chosen:
        raise UsageError("--images", "no image is built from any of these locks", hint="leave --images out")
    return check_locks(workspace, chosen)


def why(workspace: Workspace, profile: Profile, lock: Lock, target: Target, package: Package) -> "tuple[HeldBack, ...]":
    """What holds back newer releases of `package`. Raises IndexUnavailableError."""
    from envgen.lock.make import query_for
    from envgen.lock.why import WhyContext, held_back

    bounds = workspace.project.bounds(profile)
    request = query_for(profile, bounds, target)
    return held_back(package, WhyContext(lock=lock, query=request, bounds=bounds, packages=workspace.packages(profile.index_urls)))


def wheels_of(locks: Sequence[Lock]) -> tuple[Wheel, ...]:
    """Every wheel of `locks` including installers, sorted by file name, without duplicates."""
    wheels = {(wheel.file, wheel.sha256): wheel for lock in locks for wheel in lock.fetched}
    return tuple(wheels[key] for key in sorted(wheels))


def bases_of(locks: Sequence[Lock]) -> tuple[tuple[str, str], ...]:
    """The locked base and platform of every image, without duplicates."""
    return tuple(sorted({(lock.base, lock.platform) for lock in locks if lock.base}))


def by_indexes(locks: Sequence[Lock], wheels: Sequence[Wheel]) -> Iterator[tuple[Mapping[str, str], list[Wheel]]]:
    """Groups `wheels` by the index URLs of their lock: two profiles may use one name for different indexes."""
    remaining = {(wheel.file, wheel.sha256) for wheel in wheels}
    groups: defaultdict[tuple[tuple[str, str], ...], list[Wheel]] = defaultdict(list)
    for lock in locks:
        urls = tuple((index.name, index.url) for index in lock.indexes)
        for wheel in lock.fetched:
            if (wheel.file, wheel.sha256) in remaining:
                remaining.remove((wheel.file, wheel.sha256))
                groups[urls].append(wheel)
    for urls, group in groups.items():
        yield dict(urls), group


def require_cached(store: WheelStore, locks: Sequence[Lock]) -> None:
    """Raises BuildError listing all wheels missing from the store."""
    missing = store.missing(wheels_of(locks))
    if missing:
        files = "\n".join(wheel.file for wheel in missing)
        hint = f"with a network: {fetch_command(locks)}; from an archive: envgen store import FILE"
        raise BuildError("wheel store", f"missing, {len(missing)} of {len(wheels_of(locks))} wheels:\n{files}", hint=hint)


def fetch_command(locks: Sequence[Lock]) -> str:
    """The command that fetches everything `locks` need."""
    return f"envgen fetch {' '.join(dict.fromkeys(lock.profile for lock in locks))}"
