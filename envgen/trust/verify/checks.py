"""Compares locked wheels, releases, bases and models with what indexes, registries and the hub have now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from envgen.core.errors import BaseGoneError, EngineError, FileGoneError, HubGoneError
from envgen.core.settings import Settings, base_via_mirror
from envgen.core.text import one_line
from envgen.engine import Registry
from envgen.profiles import ModelWheel
from envgen.sources import Hub, HubName, IndexClient, IndexFile, LockedModelFiles, Wheel
from envgen.sources.vulnerabilities import Vulnerability, known_vulnerabilities
from envgen.trust.report import Status
from envgen.trust.verify.questions import TimeBudget, VerifiedItem
from envgen.trust.verify.report import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedIndex:
    """One index, with the time budgets for its pages and for its JSON API."""

    index: str
    client: IndexClient
    pages: TimeBudget
    releases: TimeBudget

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Raises IndexUnavailableError, or ResolutionError for an invalid mirror."""
        return self.pages.ask(lambda: self.client.files(self.index, package))

    def size(self, file: IndexFile) -> int:
        """The size of a file according to its server, not its index. Raises FileGoneError, IndexUnavailableError."""
        return self.pages.ask(lambda: self.client.size(replace(file, size=None)))


def wheel_entries(source: AskedIndex, wheels: Mapping[VerifiedItem, Wheel]) -> Iterator[Verdict]:
    """The verdicts on the wheels of one package. Raises as `AskedIndex` does."""
    files = source.files(next(iter(wheels.values())).name)
    for item, wheel in wheels.items():
        listed = [file for file in files if file.filename == wheel.file]
        yield from _compared(source, item, wheel, listed)
        yield from _yanked(item, listed)


def _compared(source: AskedIndex, item: VerifiedItem, wheel: Wheel, listed: Sequence[IndexFile]) -> Iterator[Verdict]:
    """One entry for the existence, hash and size of `wheel`; none if it is merely yanked."""
    published = {file.sha256 for file in listed if file.sha256}
    sizes = {file.size for file in listed if file.size is not None}
    if not listed:
        yield item.entry(Status.GONE, f"index {source.index} no longer lists it")
    elif published and wheel.sha256 not in published:
        yield item.entry(
            Status.CHANGED, f"index {source.index} publishes sha256 {min(published)}, the lock has {wheel.sha256}: find out why"
        )
    elif sizes and wheel.size not in sizes:
        yield item.entry(Status.CHANGED, f"index {source.index} publishes {min(sizes)} bytes, the lock has {wheel.size}: find out why")
    elif not published:
        yield _unpublished(source, item, wheel, listed[0])
    elif not any(file.yanked for file in listed):
        yield item.entry(Status.OK)


def _unpublished(source: AskedIndex, item: VerifiedItem, wheel: Wheel, file: IndexFile) -> Verdict:
    """The verdict without a published hash: whether the file exists, and its size."""
    try:
        size = source.size(file)
    except FileGoneError as error:
        return item.entry(Status.GONE, str(error))
    if size != wheel.size:
        return item.entry(Status.CHANGED, f"index {source.index} has {size} bytes, the lock {wheel.size}: find out why")
    return item.entry(
        Status.NOT_PUBLISHED, f"hash not published: not compared; index {source.index} has the file, with the locked size", ""
    )


def _yanked(item: VerifiedItem, listed: Sequence[IndexFile]) -> Iterator[Verdict]:
    for file in listed:
        if file.yanked:
            yield item.entry(Status.YANKED, one_line(file.yanked_because or "") or "no reason given")
            return


def model_entries(source: AskedIndex, item: VerifiedItem, model: ModelWheel) -> Iterator[Verdict]:
    """The verdict on a wheel with a model whose version and hash are known, but not its file name. Raises as `AskedIndex` does."""
    listed = [file for file in source.files(model.name) if _is_wheel_of(file, model)]
    same = [file for file in listed if file.sha256 == model.sha256]
    if not listed:
        yield item.entry(Status.GONE, f"index {source.index} no longer lists a wheel of this version")
    elif not any(file.sha256 for file in listed):
        yield item.entry(Status.NOT_PUBLISHED, f"hash not published: not compared; index {source.index} lists a wheel of this version", "")
    elif not same:
        yield item.entry(
            Status.CHANGED, f"index {source.index} publishes no wheel of this version with sha256 {model.sha256}: find out why"
        )
    elif not same[0].yanked:
        yield item.entry(Status.OK)
    yield from _yanked(item, same)


def _is_wheel_of(file: IndexFile, model: ModelWheel) -> bool:
    try:
        return parse_wheel_filename(file.filename)[1] == Version(model.version)
    except InvalidWheelFilename:
        return False


def release_entries(source: AskedIndex, item: VerifiedItem, package: str, version: str) -> Iterator[Verdict]:
    """The known vulnerabilities of one release. Raises IndexUnavailableError."""
    vulnerabilities = source.releases.ask(lambda: known_vulnerabilities(source.client, source.index, package, version))
    if vulnerabilities is None:
        yield item.entry(Status.NOT_PUBLISHED, f"index {source.index} has no JSON API with vulnerabilities", "")
        return
    for vulnerability in vulnerabilities:
        yield item.entry(Status.VULNERABLE, _describe(vulnerability))
    if not vulnerabilities:
        yield item.entry(Status.OK)


def _describe(vulnerability: Vulnerability) -> str:
    aliases = f" ({', '.join(vulnerability.aliases)})" if vulnerability.aliases else ""
    fix = f"fixed in {', '.join(vulnerability.fixed_in)}" if vulnerability.fixed_in else "no known fix"
    return one_line(f"{vulnerability.id}{aliases}: {vulnerability.summary or 'no summary'}; {fix}")


def base_entries(engine: Registry, settings: Settings, item: VerifiedItem, base: str) -> Iterator[Verdict]:
    """The verdict on `base`, NAME:TAG@DIGEST, and on its tag."""
    tagged, _, digest = base.partition("@")
    reference = base_via_mirror(settings, base)
    # A pull-through cache that can't reach its registry reports tags as missing, but not digests.
    through = " (queried through its mirror)" if reference != base else ""
    try:
        engine.digest(reference)
    except BaseGoneError:
        yield item.entry(Status.GONE, f"its registry no longer has this digest{through}")
    except EngineError as error:
        yield item.entry(Status.NOT_CHECKED, error.problem, error.hint)
        return
    else:
        yield item.entry(Status.OK)
    if ":" not in tagged.rpartition("/")[2]:
        return
    try:
        now = engine.digest(base_via_mirror(settings, tagged))
    except BaseGoneError:
        yield item.entry(Status.TAG_DELETED, f"{tagged} no longer exists{through}: use another tag to update the base")
    except EngineError as error:
        yield item.entry(Status.NOT_CHECKED, f"the current digest of its tag: {error.problem}", error.hint)
    else:
        if now != digest:
            yield item.entry(Status.TAG_MOVED, f"{tagged} is now {now}{through}")


def hub_entries(hub: Hub, patience: TimeBudget, item: VerifiedItem, locked: LockedModelFiles) -> Iterator[Verdict]:
    """The verdict on a locked model. Raises HubUnavailableError, or HubRefusedError if the hub refuses access."""
    answer = patience.ask(lambda: _repository(hub, HubName(repo=locked.repo, revision=locked.commit)))
    if isinstance(answer, HubGoneError):
        yield item.entry(Status.GONE, answer.problem)
        return
    listed = {file.name: file for file in answer.files}
    gone = [file.name for file in locked.files if file.name not in listed]
    new = sorted(listed.keys() - {file.name for file in locked.files})
    other = [file for file in locked.files if file.name in listed and file != listed[file.name]]
    if gone:
        yield item.entry(Status.GONE, f"the {hub.where} no longer lists {', '.join(gone)}")
    elif other:
        sha256 = listed[other[0].name].sha256
        yield item.entry(
            Status.CHANGED, f"the {hub.where} has {other[0].name} with sha256 {sha256}, the lock {other[0].sha256}: find out why"
        )
    elif new:
        yield item.entry(Status.CHANGED, f"the {hub.where} also lists {', '.join(new)}, which the lock does not have: find out why")
    else:
        yield item.entry(Status.OK)


def _repository(hub: Hub, name: HubName) -> LockedModelFiles | HubGoneError:
    """The files on the hub. Their absence is an answer too, and does not use up the time budget."""
    try:
        return hub.repository(name)
    except HubGoneError as error:
        return error
