"""Reports which packages moved in new locks, and why a package stayed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from envgen.core.errors import IndexUnavailableError, UsageError
from envgen.core.git import GitRepo
from envgen.core.toml import suggestion
from envgen.lock import project as pipeline
from envgen.lock.project import WrittenLock
from envgen.profiles import Profile
from envgen.trust.diff.packages import kind_of
from envgen.workspace import Workspace

TOO_LATE = "uploaded after"
"""How `lock.why` begins the reason for a release after the profile's as_of."""


def check_locked(workspace: Workspace, profile: Profile, package: str) -> None:
    """Raise UsageError for a package that is neither a requirement of `profile` nor in any of its locks."""
    named = {entry.requirement.name for entry in profile.entries}
    locked = pipeline.locked_names(workspace.project, profile)
    if package in named | locked:
        return
    if not locked:
        problem = f"no requirement of {profile.name} names it, and there is no lock yet that has it"
        raise UsageError(f"--package {package}", problem, hint=f"run: envgen lock {profile.name}")
    raise UsageError(f"--package {package}", f"is in no lock of {profile.name}", hint=suggestion(package, tuple(sorted(named | locked))))


def changes(locks: Sequence[WrittenLock]) -> dict[str, int]:
    """How many packages were upgraded, downgraded, added and removed in `locks`, each package once."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for written in locks:
        if written.before is None:
            continue
        before, after = ({wheel.name: wheel.version for wheel in lock.wheels} for lock in (written.before, written.lock))
        for name in {*before, *after}:
            old, new = before.get(name, ""), after.get(name, "")
            if old != new:
                found[kind_of(old, new)].add(name)
    return {kind: len(found[kind]) for kind in ("upgraded", "downgraded", "added", "removed") if found[kind]}


def summary(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock]) -> str:
    """What moved in `locks`, in one line; empty if nothing did."""
    counts = ", ".join(f"{count} {kind}" for kind, count in changes(locks).items())
    if not counts:
        return ""
    return f"{profile.name}: {counts}{': envgen diff HEAD' if _in_git(workspace) else ''}"


def after_update(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock], package: str) -> Iterator[str]:
    """What moved, if anything, and why `package` (empty: all packages) did not."""
    line = summary(workspace, profile, locks)
    if line or any(written.before for written in locks):
        yield line or f"{profile.name}: no package has another version"
    if package:
        yield from staying(workspace, profile, locks, package)


def _in_git(workspace: Workspace) -> bool:
    """Whether the project has a commit to compare with."""
    try:
        GitRepo(workspace.settings, workspace.project.folder).commit("HEAD")
    except UsageError:
        return False
    return True


def staying(workspace: Workspace, profile: Profile, locks: Sequence[WrittenLock], package: str) -> Iterator[str]:
    """A line for each reason why `package` is in its old version in some of `locks`."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    compared = 0
    for written in locks:
        before, after = (lock.package(package) if lock else None for lock in (written.before, written.lock))
        if before and after:
            compared += 1
            if before.wheel.version == after.wheel.version:
                found[after.wheel.version, _reason(workspace, profile, written, package)].append(written.target.slug)
    for (version, reason), slugs in found.items():
        place = "" if len(slugs) == compared else f" on {', '.join(slugs)}"
        yield f"{package} stays {version}{place}{reason} (envgen why {profile.name} {package})"


def _reason(workspace: Workspace, profile: Profile, written: WrittenLock, package: str) -> str:
    """What holds back the newest release that was there at the date of the package; nothing where the index does not answer."""
    locked = written.lock.package(package)
    assert locked is not None
    try:
        held = pipeline.why(workspace, profile, written.lock, written.target, locked)
    except IndexUnavailableError:
        return ""
    known = [entry for entry in held if not entry.reason.startswith(TOO_LATE)]
    if known:
        return f": {known[-1].last}: {known[-1].reason}"
    return f": no newer release was there on {profile.as_of_instant(package):%Y-%m-%d}"
