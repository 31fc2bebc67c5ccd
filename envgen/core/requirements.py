"""Requirements as others wrote them: in a profile, or in the metadata of a wheel, where anything may stand."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.core.errors import ResolutionError

PACKAGE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""A package's name before it is normalised: it becomes a word of a resolver's input and of its command line."""

_VERSION = r"(?:python_version|python_full_version|implementation_version)"
_COMPARED = r"(?:===|==|!=|<=|>=|~=|<|>)"
_VERSION_COMPARED = re.compile(rf"""{_VERSION} {_COMPARED} (["'])(?P<after>.*?)\1|(["'])(?P<before>[^"']*)\3 {_COMPARED} {_VERSION}""")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRequirements:
    """What the core metadata of a wheel asks for; `requires_python` is empty where it does not say, `extras` are those that it has."""

    requires: tuple[Requirement, ...]
    requires_python: str
    extras: frozenset[str] = frozenset()


def read_requirement(text: str) -> Requirement:
    """The requirement in `text`. Raises InvalidRequirement, also for one that is nested without an end."""
    try:
        return Requirement(text)
    except RecursionError as error:
        raise InvalidRequirement("its marker is nested too deeply") from error


def marker_holds(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    """Whether the marker of `requirement` holds in `environment`.

    Raises InvalidRequirement for a marker that can't be evaluated, such as one that compares a word with a version.
    """
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

    try:
        return requirement.marker is None or requirement.marker.evaluate(dict(environment))
    except (UndefinedComparison, UndefinedEnvironmentName, RecursionError) as error:
        raise InvalidRequirement(f"the marker of '{requirement}' can't be evaluated") from error


def check_marker(requirement: Requirement) -> None:
    """Raises InvalidRequirement for a marker that compares a version with a word: each tool reads that in its own way."""
    for part in _VERSION_COMPARED.finditer(str(requirement.marker or "")):
        text = next(filter(None, (part["after"], part["before"])), "")
        try:
            Version(text.removesuffix(".*"))
        except InvalidVersion:
            raise InvalidRequirement(f"its marker can't be evaluated: it compares a version with {text!r}") from None


def exact_version(requirement: Requirement) -> str | None:
    """The one version that `requirement` admits, None where it leaves that open."""
    exact = (part.version for part in requirement.specifier if part.operator in ("==", "===") and "*" not in part.version)
    return next(exact, None)


def meets(requirement: Requirement, version: str) -> bool:
    """Whether `version` is one of those that `requirement` admits."""
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def read_needs(metadata: bytes, file: str, index: str) -> WheelRequirements:
    """What the wheel `file` of `index` asks for by its METADATA. Raises ResolutionError for what can't be read."""
    from packaging.metadata import parse_email

    where, text = f"index {index}", ""
    try:
        raw, _ = parse_email(metadata)
        requires = []
        for text in raw.get("requires_dist", []):
            requires.append(read_old_requirement(text))
    except (InvalidRequirement, RecursionError) as error:
        name = file.partition("-")[0].replace("_", "-")
        problem = f"{file} has unreadable requirements: {text!r}: {_first_line(error)}"
        raise ResolutionError(where, problem, hint=f"name another release of {name} in the profile's requirements") from error
    # Some old wheels name an extra in a marker alone.
    extras = {*raw.get("provides_extra", []), *(match[1] for one in requires for match in _EXTRA.finditer(str(one.marker or "")))}
    return WheelRequirements(
        requires=tuple(requires), requires_python=raw.get("requires_python", ""), extras=frozenset(map(canonicalize_name, extras))
    )


_EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")

_OLD_STAR = re.compile(r"((?:>=|<=|>|<|~=)\s*[0-9][0-9A-Za-z.!+]*?)\.\*")
"""A `.*` where PEP 440 allows none, as in `>=1.9.*`."""

_OLD_COMMA = re.compile(r",\s*(?=[);]|$)")
"""A comma after the last bound, as in `(>=1.9,)`."""


def read_old_requirement(text: str) -> Requirement:
    """As `read_requirement`, but for metadata of old wheels: `torch (>=1.9.*)` is `torch>=1.9`, as uv reads it too."""
    try:
        return read_requirement(text)
    except InvalidRequirement:
        bounds, semicolon, marker = text.partition(";")
        readable = _OLD_COMMA.sub("", _OLD_STAR.sub(r"\1", bounds)) + semicolon + marker
        if readable == text:
            raise
        return read_requirement(readable)


def with_readable_requirements(metadata: bytes) -> bytes:
    """`metadata` in which requirements of old wheels stand as they are read, for readers that know today's form alone."""
    head, blank, body = metadata.partition(b"\n\n")
    return b"\n".join(_readable_line(line) for line in head.split(b"\n")) + blank + body


def _readable_line(line: bytes) -> bytes:
    field, _, text = line.decode(errors="replace").partition(":")
    if field.lower() != "requires-dist":
        return line
    try:
        read_requirement(text.strip())
    except InvalidRequirement:
        with suppress(InvalidRequirement):
            return f"{field}: {read_old_requirement(text.strip())}".encode()
    return line


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
