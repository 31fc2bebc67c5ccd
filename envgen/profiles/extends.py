"""The chain of `extends`: which files a profile is made of, and how they are laid over each other, as plain TOML."""

import re
from collections.abc import Callable, Mapping, Sequence

from packaging.utils import canonicalize_name

from envgen.core.errors import ProfileError, UsageError
from envgen.core.toml import join_path

Loader = Callable[[str], tuple[Mapping[str, object], str]]
"""Finds the profile of a name: its TOML, and what messages call its file.

Raises UsageError where there is none, ProfileError for one that can't be read."""

PROFILE_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_APPENDED = ("requirements", "constraints")


def read_chain(name: str, load: Loader) -> list[tuple[Mapping[str, object], str]]:
    """The files from `name` up to the one that extends nothing."""
    found: list[tuple[Mapping[str, object], str]] = []
    names: list[str] = []
    following: object = name
    label = ""
    while following is not None:
        where = f"{label}: extends" if label else "profile"
        if not isinstance(following, str) or not PROFILE_NAME.fullmatch(following):
            raise ProfileError(where, f"found {following!r}, expected a profile's name", hint='a name as in extends = "cpu-base", no path')
        if following in names:
            raise ProfileError(where, f"a circle: {' -> '.join([*names, following])}", hint="take one of these extends away")
        names.append(following)
        try:
            data, label = load(following)
        except UsageError as error:
            raise ProfileError(where, error.problem, hint=error.hint) from error
        found.append((data, label))
        following = data.get("extends")
    return found


def merge(into: dict[str, object], data: Mapping[str, object], label: str, path: str, origins: dict[str, str]) -> None:
    """Lays `data` over `into`: tables merge, `requirements` and `constraints` add up, `false` takes a table away."""
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
        elif not path and key in _APPENDED and isinstance(before, list) and isinstance(value, list):
            into[key] = _added(before, value)
        else:
            into[key] = value


def _added(before: Sequence[object], after: Sequence[object]) -> list[object]:
    """`before` and `after` as one; an entry for a package that `before` names replaces that one."""
    names = {entry_name(entry) for entry in after}
    return [entry for entry in before if entry_name(entry) not in names] + list(after)


def additions(lists: Sequence[object]) -> set[str]:
    """The packages that the first of several lists of requirements asks for and the others do not; none if it is alone."""
    first, *others = ({entry_name(entry) for entry in found} if isinstance(found, list) else set() for found in lists)
    return first.difference(*others) if others else set()


def entry_name(entry: object) -> str:
    match = re.match(r"\s*([A-Za-z0-9][\w.-]*)", entry) if isinstance(entry, str) else None
    return canonicalize_name(match[1]) if match else repr(entry)
