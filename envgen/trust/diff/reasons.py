"""Why a package changed, as far as two locks show: requirements, bounds, upload time, index, Python and layer.

Only something that can have caused the change is a reason: a changed requirement that allows both versions is not.
"""

from collections.abc import Iterator, Mapping, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from envgen.lock import Lock, Package
from envgen.sources import Wheel
from envgen.trust.diff.model import LockPair, requirements_of

ANY = "*"


def why_added(pair: LockPair, new: Package) -> Iterator[str]:
    """What requires a new package, and why nothing did before."""
    for name, requirements in requirements_of(new, pair.after).items():
        if not name:
            yield f"the profile now requires it{_in_brackets(requirements)}"
            continue
        before, after = pair.before.package(name), pair.after.package(name)
        if before is None:
            yield f"{_pinned(name, after)}, which is new, requires it{_in_brackets(requirements)}"
        elif after and after.wheel.version != before.wheel.version:
            yield f"{_pinned(name, after)} requires it{_in_brackets(requirements)}, {before.wheel.version} did not"
        else:
            yield f"{name} now requires it{_in_brackets(requirements)}: {_markers(pair, name)}"


def why_removed(pair: LockPair, old: Package) -> Iterator[str]:
    """Why nothing requires a removed package any more."""
    for name in requirements_of(old, pair.before):
        if not name:
            yield "the profile no longer requires it"
            continue
        before, after = pair.before.package(name), pair.after.package(name)
        if after is None:
            yield f"{_pinned(name, before)}, which required it, is gone"
        elif before and after.wheel.version != before.wheel.version:
            yield f"{_pinned(name, after)} no longer requires it, {before.wheel.version} did"
        else:
            yield f"{name} no longer requires it: {_markers(pair, name)}"


def _markers(pair: LockPair, requirer: str) -> str:
    """Why an unchanged package has different requirements than before."""
    before, after = (_extras(lock.package(requirer)) for lock in (pair.before, pair.after))
    if before != after:
        return f"its extras are {after or 'none'}, before {before or 'none'}"
    return next(_environment_changes(pair), "the locks don't show why")


def _extras(package: Package | None) -> str:
    found = {",".join(demand.extras) for demand in package.demands if demand.extras} if package else set()
    return ", ".join(sorted(found))


def why_moved(pair: LockPair, old: Package, new: Package) -> Iterator[str]:
    """Why a package has another version, or another file of the same one; the strongest reasons first."""
    found = [*_forcing(pair, old, new), *_times(pair, old.wheel, new.wheel), *_index(pair, old.wheel, new.wheel)]
    # Another Python always determines the file, but the version only if nothing else does.
    if not found or _tags(old.wheel) != _tags(new.wheel):
        found += _environment_changes(pair)
    yield from found
    if (old.wheel.file, old.wheel.index) == (new.wheel.file, new.wheel.index):
        hashes = f"sha256 {new.wheel.sha256[:12]}, before {old.wheel.sha256[:12]}"
        yield f"the same file name with other content ({hashes}): find out why before you trust it"
    yield from why_regrouped(old, new)


def why_regrouped(old: Package, new: Package) -> Iterator[str]:
    """The reason for a change of the layer group, if it changed."""
    if old.layer != new.layer:
        yield f"is in the layer group {new.layer}, before {old.layer}"


def changed_evidence(pair: LockPair, old: Package, new: Package) -> Iterator[str]:
    """Every difference in a package's requirements and documented bounds, even if it could not cause a change."""
    before, after = requirements_of(old, pair.before), requirements_of(new, pair.after)
    yield from (_requirement_change(pair, name, before, after) for name in _differing(before, after))
    bounds_before, bounds_after = _bounds(old), _bounds(new)
    yield from (_bound_change(key, bounds_before, bounds_after) for key in _differing(bounds_before, bounds_after))
    if old.wheel != new.wheel:
        yield "its index reports another size or upload time for the same file"
    elif not (before != after or bounds_before != bounds_after):
        yield "the same evidence in another order"


def _forcing(pair: LockPair, old: Package, new: Package) -> Iterator[str]:
    """The changed requirements and documented bounds that can have caused the change."""
    versions = old.wheel.version, new.wheel.version
    required_before, required_after = requirements_of(old, pair.before), requirements_of(new, pair.after)
    for name in _differing(required_before, required_after):
        if _forces(required_before.get(name, ()), required_after.get(name, ()), *versions):
            yield _requirement_change(pair, name, required_before, required_after)
    bounds_before, bounds_after = _bounds(old), _bounds(new)
    for key in _differing(bounds_before, bounds_after):
        if _forces(bounds_before.get(key, ()), bounds_after.get(key, ()), *versions):
            yield _bound_change(key, bounds_before, bounds_after)


def _forces(before: Sequence[str], after: Sequence[str], old: str, new: str) -> bool:
    """Whether the new requirements rule out the old version, or the old ones the new version."""
    return not (_admit(after, old) and _admit(before, new))


def _admit(requirements: Sequence[str], version: str) -> bool:
    return all(_admits(requirement.rpartition("]")[2], version) for requirement in requirements if requirement != ANY)


def _admits(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        # An unreadable requirement rules nothing out.
        return True


def _requirement_change(pair: LockPair, name: str, before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> str:
    """The requirement of `name` (empty: the profile) now and before."""
    requirer = _requirer(pair, name)
    if name not in after:
        return f"{requirer} required {_words(before[name])}, and no longer does"
    if name not in before:
        return f"{requirer} requires {_words(after[name])}, and did not before"
    return f"{requirer} requires {_words(after[name])}, before {_words(before[name])}"


def _requirer(pair: LockPair, name: str) -> str:
    if not name:
        return "the profile"
    before, after = pair.before.package(name), pair.after.package(name)
    if before is None or after is None:
        return f"{name}, which is {'gone' if before else 'new'}," if before or after else name
    return name if before.wheel.version == after.wheel.version else _pinned(name, after)


def _bound_change(source: str, before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> str:
    now, then = (_words(side[source]) if source in side else "none" for side in (after, before))
    return f"the documented bound is {now}, before {then} ({source})"


def _bounds(package: Package) -> dict[str, tuple[str, ...]]:
    """The documented bounds on a package, by document and section."""
    found: dict[str, tuple[str, ...]] = {}
    for bound in package.bounds:
        found[bound.source] = (*found.get(bound.source, ()), bound.requirement)
    return found


def _differing(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> list[str]:
    return [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def _times(pair: LockPair, old: Wheel, new: Wheel) -> Iterator[str]:
    before, after = pair.before.as_of, pair.after.as_of
    if new.uploaded and new.uploaded >= after:
        yield f"uploaded {_day(new)}, after as_of {after:%Y-%m-%d}: the profile sets its own date for it"
    elif new.uploaded and new.uploaded >= before:
        yield f"uploaded {_day(new)}, after the old as_of {before:%Y-%m-%d}"
    elif old.uploaded and old.uploaded >= before:
        yield f"{old.version} was uploaded {_day(old)}, after the old as_of {before:%Y-%m-%d}: it had a date of its own"
    elif old.uploaded and old.uploaded >= after:
        yield f"{old.version} was uploaded {_day(old)}, after the new as_of {after:%Y-%m-%d}"


def _day(wheel: Wheel) -> str:
    return f"{wheel.uploaded:%Y-%m-%d}"


def _index(pair: LockPair, old: Wheel, new: Wheel) -> Iterator[str]:
    if old.index != new.index:
        yield f"comes from the index {new.index}, before from {old.index}"
    elif (now := _url(pair.after, new.index)) != (then := _url(pair.before, old.index)):
        yield f"the index {new.index} is at {now}, before at {then}"


def _url(lock: Lock, index: str) -> str:
    return next((found.url for found in lock.indexes if found.name == index), "")


def _tags(wheel: Wheel) -> tuple[str, ...]:
    """The tags in a wheel's file name: Python, ABI and platform."""
    return tuple(wheel.file.removesuffix(".whl").split("-")[-3:])


def _environment_changes(pair: LockPair) -> Iterator[str]:
    """Changes of Python and platform, which affect markers and wheels."""
    if pair.before.python != pair.after.python:
        yield f"Python is {pair.after.python}, before {pair.before.python}"
    if pair.before.platform != pair.after.platform:
        yield f"the platform is {pair.after.platform}, before {pair.before.platform}"


def _pinned(name: str, package: Package | None) -> str:
    return f"{name} {package.wheel.version}" if package else name


def _words(requirements: Sequence[str]) -> str:
    return " and ".join("any version" if requirement == ANY else requirement for requirement in requirements)


def _in_brackets(requirements: Sequence[str]) -> str:
    """The requirements in brackets; empty for any version."""
    return "" if list(requirements) == [ANY] else f" ({_words(requirements)})"
