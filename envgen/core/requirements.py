"""Parses untrusted requirements: those of profiles and of wheel metadata."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.core.errors import ResolutionError

PACKAGE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""A package name before normalisation: it goes into a resolver's input and command line."""

_VERSION = r"(?:python_version|python_full_version|implementation_version)"
_COMPARED = r"(?:===|==|!=|<=|>=|~=|<|>)"
_VERSION_COMPARED = re.compile(rf"""{_VERSION} {_COMPARED} (["'])(?P<after>.*?)\1|(["'])(?P<before>[^"']*)\3 {_COMPARED} {_VERSION}""")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRequirements:
    """The requirements and extras in a wheel's core metadata; `requires_python` is empty if not given."""

    requires: tuple[Requirement, ...]
    requires_python: str
    extras: frozenset[str] = frozenset()


def read_requirement(text: str) -> Requirement:
    """Parse the requirement in `text`. Raises InvalidRequirement, also for one nested too deeply."""
    try:
        return Requirement(text)
    except RecursionError as error:
        raise InvalidRequirement("its marker is nested too deeply") from error


def marker_holds(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    """Whether the marker of `requirement` holds in `environment`.

    Raises InvalidRequirement for a marker that can't be evaluated, such as one that compares a word to a version.
    """
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

    try:
        return requirement.marker is None or requirement.marker.evaluate(dict(environment))
    except (UndefinedComparison, UndefinedEnvironmentName, RecursionError) as error:
        raise InvalidRequirement(f"the marker of '{requirement}' can't be evaluated") from error


def check_marker(requirement: Requirement) -> None:
    """Raise InvalidRequirement for a marker that compares a version to a word: tools differ in how they read it."""
    for part in _VERSION_COMPARED.finditer(str(requirement.marker or "")):
        text = next(filter(None, (part["after"], part["before"])), "")
        try:
            Version(text.removesuffix(".*"))
        except InvalidVersion:
            raise InvalidRequirement(f"its marker can't be evaluated: it compares a version with {text!r}") from None


def exact_version(requirement: Requirement) -> str | None:
    """The version that `requirement` pins, None if it pins none."""
    exact = (part.version for part in requirement.specifier if part.operator in ("==", "===") and "*" not in part.version)
    return next(exact, None)


def meets(requirement: Requirement, version: str) -> bool:
    """Whether `version` satisfies `requirement`."""
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def read_needs(metadata: bytes, file: str, index: str) -> WheelRequirements:
    """Parse the requirements in the METADATA of the wheel `file` of `index`. Raises ResolutionError if they are invalid."""
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
    # Some old wheels name an extra only in a marker.
    extras = {*raw.get("provides_extra", []), *(match[1] for one in requires for match in _EXTRA.finditer(str(one.marker or "")))}
    return WheelRequirements(
        requires=tuple(requires), requires_python=raw.get("requires_python", ""), extras=frozenset(map(canonicalize_name, extras))
    )


_EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")

_OLD_STAR = re.compile(r"((?:>=|<=|>|<|~=)\s*[0-9][0-9A-Za-z.!+]*?)\.\*")
"""A `.*` that PEP 440 does not allow, as in `>=1.9.*`."""

_OLD_COMMA = re.compile(r",\s*(?=[);]|$)")
"""A comma after the last bound, as in `(>=1.9,)`."""


def read_old_requirement(text: str) -> Requirement:
    """Parse a requirement, also in the form of old wheels: `torch (>=1.9.*)` is `torch>=1.9`, as for uv."""
    try:
        return read_requirement(text)
    except InvalidRequirement:
        bounds, semicolon, marker = text.partition(";")
        readable = _OLD_COMMA.sub("", _OLD_STAR.sub(r"\1", bounds)) + semicolon + marker
        if readable == text:
            raise
        return read_requirement(readable)


def with_readable_requirements(metadata: bytes) -> bytes:
    """Rewrite the requirements of old wheels in `metadata` in the current form, for readers that know no other."""
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
