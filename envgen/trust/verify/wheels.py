"""Verifying wheels and their releases: what an index says of them now, compared with what was locked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from envgen.core.errors import FileGoneError
from envgen.profiles import ModelWheel
from envgen.sources import IndexClient, IndexFile, Wheel
from envgen.sources.vulnerabilities import Vulnerability, known_vulnerabilities
from envgen.trust.verify.questions import TimeBudget, VerifiedItem
from envgen.trust.verify.report import CHANGED, GONE, NOT_PUBLISHED, OK, VULNERABLE, YANKED, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedIndex:
    """One index, and our patience with its pages and with its JSON API."""

    index: str
    client: IndexClient
    pages: TimeBudget
    releases: TimeBudget

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Raises IndexUnavailableError, or ResolutionError for a mirror that is none."""
        return self.pages.ask(lambda: self.client.files(self.index, package))

    def size(self, file: IndexFile) -> int:
        """The size of a file whose server is asked, whatever its index says. Raises FileGoneError, IndexUnavailableError."""
        return self.pages.ask(lambda: self.client.size(replace(file, size=None)))


def wheel_entries(source: AskedIndex, wheels: Mapping[VerifiedItem, Wheel]) -> Iterator[Verdict]:
    """What became of wheels of one package. Raises as `Source` does."""
    files = source.files(next(iter(wheels.values())).name)
    for item, wheel in wheels.items():
        listed = [file for file in files if file.filename == wheel.file]
        yield from _compared(source, item, wheel, listed)
        yield from _yanked(item, listed)


def _compared(source: AskedIndex, item: VerifiedItem, wheel: Wheel, listed: Sequence[IndexFile]) -> Iterator[Verdict]:
    """One entry for the existence, hash and size of `wheel`, unless it is yanked and nothing else."""
    published = {file.sha256 for file in listed if file.sha256}
    sizes = {file.size for file in listed if file.size is not None}
    if not listed:
        yield item.entry(GONE, f"index {source.index} does not list it any more")
    elif published and wheel.sha256 not in published:
        yield item.entry(CHANGED, f"index {source.index} publishes sha256 {min(published)}, the lock has {wheel.sha256}: find out why")
    elif sizes and wheel.size not in sizes:
        yield item.entry(CHANGED, f"index {source.index} publishes {min(sizes)} bytes, the lock has {wheel.size}: find out why")
    elif not published:
        yield _unpublished(source, item, wheel, listed[0])
    elif not any(file.yanked for file in listed):
        yield item.entry(OK)


def _unpublished(source: AskedIndex, item: VerifiedItem, wheel: Wheel, file: IndexFile) -> Verdict:
    """What there is to say without a published hash: whether the file is there, and its size."""
    try:
        size = source.size(file)
    except FileGoneError as error:
        return item.entry(GONE, str(error))
    if size != wheel.size:
        return item.entry(CHANGED, f"index {source.index} has {size} bytes, the lock {wheel.size}: find out why")
    return item.entry(NOT_PUBLISHED, f"hash not published: not compared; index {source.index} has the file, of the locked size", "")


def _yanked(item: VerifiedItem, listed: Sequence[IndexFile]) -> Iterator[Verdict]:
    for file in listed:
        if file.yanked:
            yield item.entry(YANKED, one_line(file.yanked_because or "") or "no reason given")
            return


def model_entries(source: AskedIndex, item: VerifiedItem, model: ModelWheel) -> Iterator[Verdict]:
    """What became of a wheel with a model in it, of which the version and the hash are known, but not the file. Raises as `Source` does."""
    listed = [file for file in source.files(model.name) if _is_wheel_of(file, model)]
    same = [file for file in listed if file.sha256 == model.sha256]
    if not listed:
        yield item.entry(GONE, f"index {source.index} lists no wheel of this version any more")
    elif not any(file.sha256 for file in listed):
        yield item.entry(NOT_PUBLISHED, f"hash not published: not compared; index {source.index} lists a wheel of this version", "")
    elif not same:
        yield item.entry(CHANGED, f"index {source.index} publishes no wheel of this version with sha256 {model.sha256}: find out why")
    elif not same[0].yanked:
        yield item.entry(OK)
    yield from _yanked(item, same)


def _is_wheel_of(file: IndexFile, model: ModelWheel) -> bool:
    try:
        return parse_wheel_filename(file.filename)[1] == Version(model.version)
    except InvalidWheelFilename:
        return False


def release_entries(source: AskedIndex, item: VerifiedItem, package: str, version: str) -> Iterator[Verdict]:
    """The known vulnerabilities of one release. Raises IndexUnavailableError."""
    found = source.releases.ask(lambda: known_vulnerabilities(source.client, source.index, package, version))
    if found is None:
        yield item.entry(NOT_PUBLISHED, f"not asked, because index {source.index} has no JSON API with vulnerabilities", "")
        return
    for vulnerability in found:
        yield item.entry(VULNERABLE, _words(vulnerability))
    if not found:
        yield item.entry(OK)


def _words(found: Vulnerability) -> str:
    also = f" ({', '.join(found.aliases)})" if found.aliases else ""
    cured = f"fixed in {', '.join(found.fixed_in)}" if found.fixed_in else "no release is known to fix it"
    return one_line(f"{found.id}{also}: {found.summary or 'no summary'}; {cured}")


def one_line(text: str) -> str:
    """One line of what an index says, without what would steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
