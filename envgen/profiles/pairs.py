"""Read profiles/pairs/*.toml: package compatibility that metadata does not cover."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from envgen.core.requirements import PACKAGE_NAME
from envgen.core.toml import Faults, Table

TORCH_FAMILY = ("torch", "torchvision", "torchaudio", "torchcodec")
"""torch, and the libraries whose compiled code links against one build of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPair:
    """A known incompatibility between `versions` of `package` and `other_versions` of `other`."""

    package: str
    versions: str
    other: str
    other_versions: str
    problem: str
    cure: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyBuild:
    """The `releases` of a package in the torch family that are built for `torch`."""

    package: str
    releases: str
    torch: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """All known incompatibilities and torch family builds."""

    pairs: tuple[KnownPair, ...] = ()
    builds: tuple[FamilyBuild, ...] = ()

    def build(self, package: str, version: str) -> FamilyBuild | None:
        """What a release of `package` is built for, or None if unknown."""
        ours = (build for build in self.builds if build.package == package)
        return next((build for build in ours if SpecifierSet(build.releases).contains(version, prereleases=True)), None)

    def release_for(self, package: str, torch: str) -> str:
        """The first known release of `package` for a release of torch, empty if unknown; it was available as early as that torch."""
        fitting = (
            build for build in self.builds if build.package == package and SpecifierSet(build.torch).contains(torch, prereleases=True)
        )
        return min((_release(build.releases) for build in fitting), key=_number, default="")


def _release(releases: str) -> str:
    """The release in `==1.2.3`, or the first one of a series such as `==1.2.*`."""
    text = releases.removeprefix("==")
    return f"{text[:-1]}0" if text.endswith("*") else text


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdigit())


def read_pairs(files: Iterable[tuple[str, Mapping[str, object]]]) -> PairTable:
    """Read the compatibility tables of labelled files. Raises ProfileError, or ProfileErrors with all faults of a file."""
    tables = [_read(label, data) for label, data in files]
    return PairTable(
        pairs=tuple(pair for table in tables for pair in table.pairs), builds=tuple(build for table in tables for build in table.builds)
    )


def _read(label: str, data: Mapping[str, object]) -> PairTable:
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    pairs = [_pair(inner) for inner in table.array_of_tables("pair")]
    builds = [build for inner in table.array_of_tables("family") for build in _builds(inner)]
    table.close()
    faults.raise_any()
    return PairTable(pairs=tuple(pairs), builds=tuple(builds))


def _pair(table: Table) -> KnownPair:
    pair = KnownPair(
        package=_package(table, "package"),
        versions=_versions(table, "versions"),
        other=_package(table, "with"),
        other_versions=_versions(table, "with_versions"),
        problem=table.require("problem", str, ""),
        cure=table.require("cure", str, ""),
        source=table.require("source", str, ""),
    )
    table.close()
    return pair


def _builds(table: Table) -> list[FamilyBuild]:
    package, source = _package(table, "package"), table.require("source", str, "")
    if package not in TORCH_FAMILY[1:]:
        table.fault("package", f"found {package!r}, expected one of {', '.join(TORCH_FAMILY[1:])}")
    builds = table.table("builds")
    result = []
    for releases in builds.names():
        _check_versions(builds, releases, releases)
        if not releases.startswith("=="):
            builds.fault(releases, "expected one release or one series of them", 'as in "==0.28.0" or "==0.16.*"')
        result.append(FamilyBuild(package=package, releases=releases, torch=_versions(builds, releases), source=source))
    table.close()
    return result


def _package(table: Table, key: str) -> str:
    name = table.require(key, str, "")
    if name and not PACKAGE_NAME.fullmatch(name):
        table.fault(key, f"found {name!r}, expected a package's name")
    return canonicalize_name(name)


def _versions(table: Table, key: str) -> str:
    text = table.require(key, str, "")
    return text if _check_versions(table, key, text) else ""


def _check_versions(table: Table, key: str, text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        table.fault(key, f"found {text!r}, expected version bounds", 'as in ">=2.2,<3"')
        return False
    return True
