"""From names and versions to locked wheels: one piece of code for every resolver, so that all give the same bytes."""

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envgen.errors import ProfileError, ResolutionError
from envgen.index import CONNECTIONS, IndexClient, IndexFile
from envgen.lock import WHEEL_FILE, Wheel
from envgen.resolve import Query, Resolution
from envgen.wheels import WheelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A wheel that was chosen, and what its own metadata requires."""

    wheel: Wheel
    requires: tuple[Requirement, ...]
    requires_python: str


def choose_wheels(query: Query, resolution: Resolution, client: IndexClient, store: WheelStore) -> tuple[Chosen, ...]:
    """The one wheel for each resolved package, by name.

    Raises ResolutionError when an index has no wheel that fits, IndexUnavailableError when it does not answer.
    """
    ranks = {tag: rank for rank, tag in enumerate(query.target.wheel_tags())}
    with ThreadPoolExecutor(max_workers=CONNECTIONS) as pool:
        futures = [pool.submit(_choose, pin, ranks, query, client, store) for pin in resolution.versions]
        try:
            return tuple(future.result() for future in futures)
        finally:
            pool.shutdown(cancel_futures=True)


def _choose(pin: tuple[str, str], ranks: Mapping[Tag, int], query: Query, client: IndexClient, store: WheelStore) -> Chosen:
    from packaging.metadata import parse_email

    name, version = pin
    index = query.index_of(name)
    files = [file for file in client.files(index, name) if _is_early_enough(file, name, query)]
    file = best_wheel(files, Version(version), ranks)
    if file is None:
        raise ResolutionError(
            f"index {index}", f"no wheel of {name} {version} for {query.target.slug} before {query.cutoff(name):%Y-%m-%dT%H:%M:%SZ}",
            hint=f"name {name} in the profile's requirements with a version that has one",
        )  # fmt: skip
    if not file.sha256:
        _, digest = store.add(file, index, "", client)
        file = replace(file, sha256=digest)
    wheel = Wheel(
        name=name,
        version=version,
        file=file.filename,
        sha256=file.sha256,
        size=client.size(file, index),
        index=index,
        uploaded=_whole_seconds(file.uploaded) if query.publishes_times(name) else None,
    )
    metadata, _ = parse_email(store.metadata(file, index, client))
    try:
        requires = tuple(Requirement(text) for text in metadata.get("requires_dist", []))
    except InvalidRequirement as error:
        raise ResolutionError(f"index {index}", f"{file.filename} has unreadable requirements: {error}") from error
    return Chosen(wheel=wheel, requires=requires, requires_python=metadata.get("requires_python", ""))


def _is_early_enough(file: IndexFile, name: str, query: Query) -> bool:
    if not query.publishes_times(name):
        return True
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
    return file.uploaded < query.cutoff(name)


def best_wheel(files: list[IndexFile], version: Version, ranks: Mapping[Tag, int]) -> IndexFile | None:
    """The wheel of `version` with the best tag for the target, as installers choose it; None where none fits."""
    fitting = []
    for file in files:
        if not WHEEL_FILE.fullmatch(file.filename):
            continue
        try:
            _, found, build, tags = parse_wheel_filename(file.filename)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if found == version and rank is not None:
            fitting.append(((-rank, build), file))
    fitting.sort(key=lambda entry: entry[1].filename)
    return max(fitting, key=lambda entry: entry[0])[1] if fitting else None


def _whole_seconds(moment: dt.datetime | None) -> dt.datetime | None:
    """Indexes differ in how many digits they give for one and the same upload."""
    return moment.replace(microsecond=0) if moment else None
