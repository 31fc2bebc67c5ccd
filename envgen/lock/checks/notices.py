"""Notices on a resolution, which don't prevent locking: one function per kind."""

import datetime as dt
import re
from collections.abc import Callable, Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from envgen.lock.checks.refusals import Resolved, missing_extras, names_torch
from envgen.lock.model import Lock
from envgen.lock.notice import Notice, NoticeKind
from envgen.lock.select import SelectedWheel
from envgen.lock.why import WhyContext, held_back_by, version_of
from envgen.profiles.pairs import TORCH_FAMILY

MANY = 20
"""How many releases a direct requirement may be behind without a notice."""

LONG = dt.timedelta(days=550)
"""How much older than the newest release it may be without a notice."""

ANCIENT = dt.timedelta(days=5 * 365)
"""How long before `as_of` the newest release may have been uploaded without a notice."""

_TORCH = re.compile(r"torch(\d+\.\d+)")
"""The torch named in a local version, as in `+cu12torch2.6cxx11abifalse`."""


def notices_of(resolved: Resolved, lock: Lock) -> tuple[Notice, ...]:
    """All notices of `lock`, which was made from `resolved`; deterministic, like the lock. Raises as `Packages.files` does."""
    notices = [*far_behind(resolved, lock), *(notice for kind in KINDS for notice in kind(resolved))]
    return tuple(sorted(notices, key=lambda notice: (notice.package, notice.kind, notice.text)))


def passing_notices(resolved: Resolved) -> tuple[Notice, ...]:
    """Notices that are shown once and not locked: another mirror of the same index may behave differently."""
    return tuple(
        Notice(
            kind=NoticeKind.NOT_COMPARED,
            package=name,
            text="not compared with the paths that other wheels write: its index sends no part of a file, and the whole is large",
            cure="fetch it and lock again: envgen fetch, envgen lock",
        )
        for name in resolved.paths.too_large
    )


def far_behind(resolved: Resolved, lock: Lock) -> Iterator[Notice]:
    """Direct requirements locked far behind the newest release that the profile admits at its `as_of`, or very old."""
    context = WhyContext(lock=lock, query=resolved.query, bounds=resolved.bounds, packages=resolved.packages)
    for package in lock.packages:
        wheel, name = package.wheel, package.wheel.name
        demands = resolved.asked(name)
        if not demands or wheel.uploaded is None or any(_is_exact(demand.specifier) for demand in demands):
            continue
        releases = _releases(resolved, wheel.index, name)
        newer = sorted(version for version in releases if version > Version(wheel.version))
        if newer and (len(newer) > MANY or releases[newer[-1]] - wheel.uploaded > LONG):
            files = resolved.packages.files(wheel.index, name)
            reason = held_back_by(package, newer[-1], files, context)
            behind = f"{len(newer)} release{'s' if len(newer) > 1 else ''} behind {newer[-1]}"
            text = f"{wheel.version} of {wheel.uploaded:%Y-%m-%d} is {behind} of {releases[newer[-1]]:%Y-%m-%d}: {reason}"
            cure = f"envgen why {lock.profile} {name} says what holds back each release; pin {name} to say that this one is meant"
            yield Notice(kind=NoticeKind.FAR_BEHIND, package=name, text=text, cure=cure)
        elif not newer and resolved.query.cutoff(name) - wheel.uploaded > ANCIENT:
            text = f"{wheel.version} is of {wheel.uploaded:%Y-%m-%d}, and nothing newer was there on {resolved.query.cutoff(name):%Y-%m-%d}"
            yield Notice(kind=NoticeKind.OLD, package=name, text=text, cure=f"move as_of, or pin {name} to say that it is meant")


def _is_exact(specifier: SpecifierSet) -> bool:
    return any(part.operator in ("==", "===") and "*" not in part.version for part in specifier)


def _releases(resolved: Resolved, index: str, name: str) -> dict[Version, dt.datetime]:
    """The first upload time of each release of `name` that the profile and the bounds admit, up to its cutoff."""
    releases: dict[Version, dt.datetime] = {}
    cutoff = resolved.query.cutoff(name)
    admitted = [demand.specifier for demand in resolved.asked(name)]
    admitted += [SpecifierSet(bound.requirement) for bound in resolved.bounds if bound.package == name]
    for file in resolved.packages.files(index, name):
        if file.uploaded is None or file.uploaded >= cutoff or file.yanked:
            continue
        version = version_of(file)
        if version and not version.is_prerelease and (version in releases or all(part.contains(version) for part in admitted)):
            releases[version] = min(releases.get(version, file.uploaded), file.uploaded)
    return releases


def prereleases(resolved: Resolved) -> Iterator[Notice]:
    """Pre-releases that were not requested: resolvers use them if there is no other release."""
    for entry in resolved.chosen:
        name, version = entry.wheel.name, entry.wheel.version
        if Version(version).is_prerelease and not any(demand.specifier.prereleases for demand in resolved.demands[name]):
            text = f"{version} is a pre-release that nobody asked for: nothing else fits ({resolved.askers(name)})"
            cure = f'pin it to say that it is meant, as in "{name}=={version}", or ask for another release'
            yield Notice(kind=NoticeKind.PRERELEASE, package=name, text=text, cure=cure)


def undated(resolved: Resolved) -> Iterator[Notice]:
    """Unpinned versions from an index without upload times: the newest one may change any day."""
    for entry in resolved.chosen:
        wheel = entry.wheel
        if wheel.uploaded is None and not any(_is_exact(demand.specifier) for demand in resolved.demands[wheel.name]):
            text = f"{wheel.version} is the newest today: the index {wheel.index} publishes no upload times, so as_of says nothing here"
            cure = f'pin it, as in "{wheel.name}=={Version(wheel.version).public}"'
            yield Notice(kind=NoticeKind.UNDATED, package=wheel.name, text=text, cure=cure)


def other_torch(resolved: Resolved) -> Iterator[Notice]:
    """Wheels whose local version names another torch than the resolved one."""
    torch = resolved.entry("torch")
    for entry in resolved.chosen if torch else ():
        assert torch is not None
        named = _TORCH.search(Version(entry.wheel.version).local or "")
        if named and Version(named[1]).release[:2] != Version(torch.wheel.version).release[:2]:
            text = f"{entry.wheel.version} is built for torch {named[1]} by its local version, and torch is {torch.wheel.version}"
            cure = f"use a build of {entry.wheel.name} for this torch, or torch=={named[1]}.*"
            yield Notice(kind=NoticeKind.OTHER_TORCH, package=entry.wheel.name, text=text, cure=cure)


def known_pairs(resolved: Resolved) -> Iterator[Notice]:
    """Pairs of packages known to fail together, whatever their metadata says."""
    for pair in resolved.pairs.pairs:
        entry, other = resolved.entry(pair.package), resolved.entry(pair.other)
        if entry and other and _within(entry, pair.versions) and _within(other, pair.other_versions):
            text = f"{entry.wheel.version} with {pair.other} {other.wheel.version}: {pair.problem} ({pair.source})"
            yield Notice(kind=NoticeKind.PAIR, package=pair.package, text=text, cure=pair.cure)


def _within(entry: SelectedWheel, versions: str) -> bool:
    return SpecifierSet(versions).contains(entry.wheel.version, prereleases=True)


def absent_extras(resolved: Resolved) -> Iterator[Notice]:
    """Extras that another package requires and the chosen release lacks: nothing is installed for them."""
    for entry, demand, extra in missing_extras(resolved):
        if demand.name != resolved.profile.name:
            text = f"{entry.wheel.version} has no extra {extra!r}, which {demand.name} asks for: nothing is installed for it"
            cure = f"if {demand.name} misses something, name it in the profile, or ask for another release of {entry.wheel.name}"
            yield Notice(kind=NoticeKind.EXTRA, package=entry.wheel.name, text=text, cure=cure)


def not_compared(resolved: Resolved) -> Iterator[Notice]:
    """What could not be checked: wheels without a RECORD, and releases of torch's family missing from the tables."""
    for name in resolved.paths.unread:
        text = "not compared with the paths that other wheels write: it has no RECORD that can be read"
        yield Notice(kind=NoticeKind.NOT_COMPARED, package=name, text=text, cure="use another release: installers refuse such a wheel")
    for entry in resolved.chosen if resolved.entry("torch") else ():
        wheel = entry.wheel
        if wheel.name in TORCH_FAMILY[1:] and not names_torch(entry) and not resolved.pairs.build(wheel.name, wheel.version):
            text = f"which torch {wheel.version} is built for is not known: neither its metadata nor profiles/pairs/torch.toml says it"
            cure = "look it up, and add it to a profiles/pairs/torch.toml of your own"
            yield Notice(kind=NoticeKind.NOT_COMPARED, package=wheel.name, text=text, cure=cure)


KINDS: tuple[Callable[[Resolved], Iterator[Notice]], ...] = (prereleases, undated, other_torch, known_pairs, absent_extras, not_compared)
