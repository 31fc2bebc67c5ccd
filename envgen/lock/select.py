"""Selects the wheels for resolved versions, with the same code for every resolver: the locks are byte for byte equal."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envgen.core.errors import ProfileError, ResolutionError
from envgen.core.parallel import map_parallel
from envgen.core.requirements import read_needs
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.sources import IndexFile, Packages, Wheel
from envgen.sources.index import CONNECTIONS
from envgen.sources.wheel import WHEEL_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedWheel:
    """A chosen wheel, the requirements and extras in its metadata, and its file as listed by the index."""

    wheel: Wheel
    requires: tuple[Requirement, ...]
    requires_python: str
    extras: frozenset[str] = frozenset()
    file: IndexFile | None = None


def choose_wheels(query: ResolveRequest, resolution: Resolution, packages: Packages) -> tuple[SelectedWheel, ...]:
    """The wheel for each resolved package, in order.

    Raises ResolutionError if an index has no wheel that fits, IndexUnavailableError if it does not answer.
    """
    ranks = query.target.tag_ranks
    direct = {canonicalize_name(Requirement(text).name) for text in query.requirements}
    # The profile's own packages first: fetching their pages began before the resolver ran.
    pins = sorted(resolution.versions, key=lambda pin: pin[0] not in direct)
    chosen = map_parallel(lambda pin: _choose(pin, ranks, query, packages), pins, at_once=CONNECTIONS)
    return tuple(dict(zip(pins, chosen, strict=True))[pin] for pin in resolution.versions)


def choose_wheel(query: ResolveRequest, pin: tuple[str, str], packages: Packages) -> Wheel:
    """The wheel for a package whose own requirements don't matter. Raises as `choose_wheels` does, and for a yanked wheel."""
    wheel, file = _pick(pin, query.target.tag_ranks, query, packages)
    if file.yanked:
        raise yanked_error(file, wheel, query, packages)
    return wheel


def _choose(pin: tuple[str, str], ranks: Mapping[Tag, int], query: ResolveRequest, packages: Packages) -> SelectedWheel:
    wheel, file = _pick(pin, ranks, query, packages)
    needs = read_needs(packages.metadata(file), file.filename, file.index)
    return SelectedWheel(wheel=wheel, requires=needs.requires, requires_python=needs.requires_python, extras=needs.extras, file=file)


def yanked_error(file: IndexFile, wheel: Wheel, query: ResolveRequest, packages: Packages) -> ResolutionError:
    """The error for a yanked release, with the index's reason and the next release that was not yanked."""
    reason = f": {file.yanked_because}" if file.yanked_because else ", and the index does not say why"
    in_time = _early_enough(packages.files(wheel.index, wheel.name), wheel.name, query)
    others = sorted({version for other in in_time if not other.yanked and (version := wheel_version(other)) and not version.is_prerelease})
    newer = [version for version in others if version > Version(wheel.version)]
    best = newer[0] if newer else others[-1] if others else None
    hint = f'use a release that was not, such as "{wheel.name}=={best}"' if best else "use another package: all of its releases were yanked"
    return ResolutionError(f"{query.target.slug}: {wheel.name}", f"{wheel.version} was yanked{reason}", hint=hint)


def wheel_version(file: IndexFile) -> Version | None:
    """The version of a wheel, None for any other file."""
    try:
        return parse_wheel_filename(file.filename)[1]
    except (InvalidWheelFilename, InvalidVersion):
        return None


def _pick(pin: tuple[str, str], ranks: Mapping[Tag, int], query: ResolveRequest, packages: Packages) -> tuple[Wheel, IndexFile]:
    name, version = pin
    index = query.index_of(name)
    files = _early_enough(packages.files(index, name), name, query)
    file = best_wheel(files, Version(version), ranks)
    if file is None:
        raise ResolutionError(
            f"index {index}", f"no wheel of {name} {version} for {query.target.slug} before {query.cutoff(name):%Y-%m-%dT%H:%M:%SZ}",
            hint=f"name a version of {name} in the profile that has one",
        )  # fmt: skip
    _check_one_hash(file, files)
    sha256 = packages.sha256(file)
    file = replace(file, sha256=sha256)
    wheel = Wheel(
        name=name,
        version=version,
        file=file.filename,
        sha256=sha256,
        size=packages.size(file),
        index=index,
        uploaded=_whole_seconds(file.uploaded) if query.publishes_times(name) else None,
    )
    return wheel, file


def _check_one_hash(file: IndexFile, files: Sequence[IndexFile]) -> None:
    """Raises ResolutionError if `files` has a different file of the same name: which one is meant is ambiguous."""
    hashes = sorted({other.sha256 for other in files if other.filename == file.filename and other.sha256})
    if len(hashes) > 1:
        problem = f"lists {file.filename} {len(hashes)} times, each with another sha256: {', '.join(text[:12] for text in hashes)}"
        hint = "one of them is not what was published: have the index, or the proxy before it, repaired"
        raise ResolutionError(f"index {file.index}", problem, hint=hint)


def _early_enough(files: Sequence[IndexFile], name: str, query: ResolveRequest) -> list[IndexFile]:
    """The `files` uploaded before the cutoff. Raises ResolutionError or ProfileError if one has no upload time."""
    if not query.publishes_times(name):
        return list(files)
    cutoff = query.cutoff(name)
    return [file for file in files if _uploaded(file, name, query) < cutoff]


def _uploaded(file: IndexFile, name: str, query: ResolveRequest) -> dt.datetime:
    if file.uploaded is None:
        index = query.index_of(name)
        if index == "default":
            problem = f"publishes no upload time for {file.filename}, so it can't be read as of a date"
            hint = "lock against an index that does; a folder can stand in for the default index in a build only"
            raise ResolutionError("index default", problem, hint=hint)
        raise ProfileError(
            f"index.{index}", f"publishes no upload time for {file.filename}",
            hint=f"set upload_times = false in [index.{index}] and pin {name} exactly",
        )  # fmt: skip
    return file.uploaded


def best_wheel(files: Sequence[IndexFile], version: Version, ranks: Mapping[Tag, int]) -> IndexFile | None:
    """The wheel of `version` with the best tag for the target, as installers choose it, yanked ones last; None if none fits."""
    fitting = []
    for file in _of_version(files, version):
        if not WHEEL_FILE.fullmatch(file.filename):
            continue
        try:
            _, parsed, build, tags = parse_wheel_filename(file.filename)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if parsed == version and rank is not None:
            fitting.append(((not file.yanked, -rank, build), file))
    fitting.sort(key=lambda entry: entry[1].filename)
    return max(fitting, key=lambda entry: entry[0])[1] if fitting else None


def _of_version(files: Sequence[IndexFile], version: Version) -> Iterator[IndexFile]:
    """The files that may be wheels of `version`: a page lists thousands, and parsing full file names is slow."""
    known: dict[str, bool] = {}
    for file in files:
        text = file.filename.partition("-")[2].partition("-")[0]
        if text not in known:
            known[text] = _is_version(text, version)
        if known[text]:
            yield file


def _is_version(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _whole_seconds(moment: dt.datetime | None) -> dt.datetime | None:
    """Truncates to seconds: indexes give the same upload time with different precision."""
    return moment.replace(microsecond=0) if moment else None


def versions_of(files: Sequence[IndexFile]) -> set[str]:
    """The public versions of the wheels in `files`, without local parts such as `+cu128`."""
    versions = set()
    for file in files:
        with suppress(InvalidWheelFilename, InvalidVersion):
            versions.add(parse_wheel_filename(file.filename)[1].public)
    return versions
