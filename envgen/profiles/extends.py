"""Resolve `extends`: which files make up a profile, and how they are merged.

All but requirements are merged as plain TOML; which requirement replaces which depends on the target, by their markers.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from packaging.requirements import Requirement
from packaging.version import Version

from envgen.core.errors import ProfileError, UsageError
from envgen.core.requirements import exact_version, marker_holds, meets
from envgen.core.toml import join_path

Loader = Callable[[str], tuple[Mapping[str, object], str]]
"""Loads a profile by name: its TOML, and the label of its file.

Raises UsageError if it is missing, ProfileError if it is unreadable."""

PROFILE_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


def read_chain(name: str, load: Loader) -> list[tuple[Mapping[str, object], str]]:
    """Load the files from `name` up to the one that extends nothing."""
    chain: list[tuple[Mapping[str, object], str]] = []
    names: list[str] = []
    following: object = name
    label = ""
    while following is not None:
        where = f"{label}: extends" if label else "profile"
        if not isinstance(following, str) or not PROFILE_NAME.fullmatch(following):
            raise ProfileError(where, f"found {following!r}, expected a profile's name", hint=_name_hint(following, in_file=bool(label)))
        if following in names:
            raise ProfileError(where, f"a circle: {' -> '.join([*names, following])}", hint="take one of these extends away")
        names.append(following)
        try:
            data, label = load(following)
        except UsageError as error:
            raise ProfileError(where, error.problem, hint=error.hint) from error
        chain.append((data, label))
        following = data.get("extends")
    return chain


def _name_hint(found: object, *, in_file: bool) -> str:
    """Describe valid profile names, suggesting one close to `found`."""
    rule = "small letters and digits, with single - or . between them"
    fitting = re.sub(r"[^a-z0-9.]+", "-", found.lower()).strip("-.") if isinstance(found, str) and "/" not in found else ""
    if in_file:
        return 'a name as in extends = "cpu-base", no path'
    if not PROFILE_NAME.fullmatch(fitting):
        return rule
    return f"{rule}: mv {shlex.quote(f'profiles/{found}.toml')} profiles/{fitting}.toml"


def merge(into: dict[str, object], data: Mapping[str, object], label: str, path: str, origins: dict[str, str]) -> None:
    """Merge `data` into `into`: tables merge, `constraints` add up, `false` removes a table; `lay` handles `requirements`."""
    for key, value in data.items():
        here = join_path(path, key)
        origins[here] = label
        before = into.get(key)
        if isinstance(value, dict):
            below = dict(before) if isinstance(before, dict) else {}
            merge(below, value, label, here, origins)
            into[key] = below
        elif value is False and isinstance(before, dict):
            del into[key]
            for below_it in [path for path in origins if path.startswith(f"{here}.")]:
                del origins[below_it]
        elif not path and key == "constraints" and isinstance(value, list):
            origins.update({join_path(here, entry): label for entry in value if isinstance(entry, str)})
            into[key] = [*(entry for entry in before if entry not in value), *value] if isinstance(before, list) else value
        elif path or key != "requirements" or value:  # only whether there are any: `lay` merges the entries
            into[key] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A normalised requirement and its file; `own` if that is the profile's own file and extends another."""

    text: str
    file: str
    own: bool = False

    @property
    def requirement(self) -> Requirement:
        return _parsed(self.text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Requirement:
    return Requirement(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesOnTarget:
    """The merged entries of a chain of files on one target.

    `own` are the profile's own entries for packages that no parent requires. `remarks` report which entries replace others, and which
    are met by a parent's exact version; `unmet` are those that are not, each with the parent's entry.
    """

    entries: tuple[Entry, ...]
    own: tuple[Entry, ...]
    remarks: tuple[str, ...]
    unmet: tuple[tuple[Entry, Entry], ...]


def lay(entries: Sequence[Entry], environment: Mapping[str, str]) -> EntriesOnTarget:
    """Merge the `entries` of a chain, root file first, whose markers hold in `environment`.

    An exact version replaces the entries below it, and so do bounds if none of those is exact. Other bounds must admit the exact version
    below and are kept beside it, as are bare names with their extras.
    """
    holding = [entry for entry in entries if marker_holds(entry.requirement, environment)]
    merged: list[Entry] = []
    own: list[Entry] = []
    remarks: list[str] = []
    unmet: list[tuple[Entry, Entry]] = []
    for _, group in groupby(holding, key=lambda entry: entry.file):
        mine = list(group)
        known = {entry.requirement.name for entry in merged}
        own = [entry for entry in mine if entry.own and entry.requirement.name not in known]
        for name in dict.fromkeys(entry.requirement.name for entry in mine):
            below = [entry for entry in merged if entry.requirement.name == name]
            above = [entry for entry in mine if entry.requirement.name == name]
            if _replaces(above, below):
                remarks += _replaced(above, below)
                merged = [entry for entry in merged if entry not in below]
            else:
                unmet += _unmet(above, below)
                remarks += _met(above, below)
        merged += mine
    return EntriesOnTarget(entries=tuple(merged), own=tuple(own), remarks=tuple(remarks), unmet=tuple(unmet))


def _replaces(above: Sequence[Entry], below: Sequence[Entry]) -> bool:
    if any(exact_version(entry.requirement) for entry in above):
        return True
    return any(entry.requirement.specifier for entry in above) and not any(pinned(below))


def pinned(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yield the entries with an exact version, and that version."""
    for entry in entries:
        if version := exact_version(entry.requirement):
            yield entry, version


def _replaced(above: Sequence[Entry], below: Sequence[Entry]) -> Iterator[str]:
    """Report the bounds, exact versions and extras that are lost; a bare name loses nothing."""
    extras = {extra for entry in above for extra in entry.requirement.extras}
    bounds = {entry.requirement.specifier for entry in above}
    for entry in below:
        requirement = entry.requirement
        if (requirement.specifier and requirement.specifier not in bounds) or requirement.extras - extras:
            yield f"{', '.join(other.text for other in above)} replaces {entry.text} of {entry.file}"


def _met(above: Sequence[Entry], below: Sequence[Entry]) -> Iterator[str]:
    for pin, version in pinned(below):
        for entry in above:
            if entry.requirement.specifier and meets(entry.requirement, version):
                yield f"{entry.text}: {pin.file} has {pin.text}, which meets it"


def _unmet(above: Sequence[Entry], below: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    for pin, version in pinned(below):
        for entry in above:
            if not meets(entry.requirement, version):
                yield entry, pin


def another(entry: Entry) -> str:
    """Hint how to override the version that conflicts with `entry`."""
    bounds = (part.version for part in entry.requirement.specifier if part.operator in (">=", "~="))
    example = f"{entry.requirement.name}=={max(bounds, key=Version, default='VERSION')}"
    return f'name one version, which replaces the other, as in "{example}"; or remove the entry'
