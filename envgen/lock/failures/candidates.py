"""The wheels of a package that a resolver may choose from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envgen.core.requirements import WheelRequirements, read_needs
from envgen.lock.demands import python_allowed
from envgen.lock.resolvers import ResolveRequest
from envgen.sources import IndexFile, Packages
from envgen.sources.wheel import WHEEL_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A wheel, and whether it was uploaded before the cutoff, has a tag of the target, and allows the target's Python."""

    version: Version
    file: IndexFile
    in_time: bool
    has_tag: bool
    allows_python: bool

    @property
    def fits(self) -> bool:
        return self.in_time and self.has_tag and self.allows_python


def candidates(query: ResolveRequest, files: Sequence[IndexFile], package: str) -> tuple[Candidate, ...]:
    """The wheels of `package` in `files`, newest version first."""
    wheels = sorted(_read(query, files, package), key=lambda candidate: candidate.version, reverse=True)
    return tuple(wheels)


def _read(query: ResolveRequest, files: Sequence[IndexFile], package: str) -> Iterator[Candidate]:
    ranks, dated, cutoff = query.target.tag_ranks, query.publishes_times(package), query.cutoff(package)
    for file in files:
        if not WHEEL_FILE.fullmatch(file.filename):
            continue
        try:
            _, version, _, tags = parse_wheel_filename(file.filename)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        yield Candidate(
            version=version,
            file=file,
            in_time=not dated or (file.uploaded is not None and file.uploaded < cutoff),
            has_tag=any(tag in ranks for tag in tags),
            allows_python=python_allowed(file.requires_python or "", query.target),
        )


def newest_of(found: Sequence[Candidate], specifier: SpecifierSet) -> Candidate | None:
    """The newest candidate in `found` that fits and that `specifier` admits, None without one."""
    return next((candidate for candidate in found if candidate.fits and admits(specifier, candidate.version)), None)


def admits(specifier: SpecifierSet, version: Version) -> bool:
    """Whether `specifier` admits `version`; pre-releases only if it names one, as in resolvers."""
    return specifier.contains(version, prereleases=bool(specifier.prereleases))


def needs_of(candidate: Candidate, packages: Packages) -> WheelRequirements:
    """The requirements in the wheel's metadata. Raises ResolutionError or VerificationError."""
    return read_needs(packages.metadata(candidate.file), candidate.file.filename, candidate.file.index)
