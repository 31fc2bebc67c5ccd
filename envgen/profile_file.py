"""Profiles from TOML: the chain of `extends` is merged first, then read once, so that each fault names its file."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.errors import ProfileError
from envgen.profile import TIERS, Index, Layer, Profile, Python
from envgen.schema import Faults, Table, join_path, suggestion
from envgen.target import PLATFORMS

Loader = Callable[[str], tuple[Mapping[str, object], str]]
"""Finds the profile of a name: its TOML, and what messages call its file. Raises ProfileError."""

PROFILE_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_FULL_VERSION = re.compile(r"3\.\d+\.\d+")
_BASE = re.compile(r"[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_APPENDED = ("requirements", "constraints")


def load_profile(name: str, load: Loader) -> Profile:
    """The profile `name` with everything it extends merged in.

    Raises ProfileError for one fault, ProfileErrors for several.
    """
    chain = _chain(name, load)
    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    for data, label in reversed(chain):
        _merge(merged, data, label, "", origins)
    own_file = chain[0][1]
    faults = Faults(lambda path: origins.get(path, origins.get(path.split("[")[0], own_file)))
    table = Table({key: value for key, value in merged.items() if key != "extends"}, faults)
    added = chain[0][0].get("requirements") if len(chain) > 1 else None
    own = tuple(text for text in added if isinstance(text, str)) if isinstance(added, list) else ()
    profile = _read(name, table, own, origins)
    table.close()
    faults.raise_any()
    return profile


def _chain(name: str, load: Loader) -> list[tuple[Mapping[str, object], str]]:
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
        data, label = load(following)
        found.append((data, label))
        following = data.get("extends")
    return found


def _merge(into: dict[str, object], data: Mapping[str, object], label: str, path: str, origins: dict[str, str]) -> None:
    """Lays `data` over `into`: tables merge, `requirements` and `constraints` add up, `false` takes a table away."""
    for key, value in data.items():
        here = join_path(path, key)
        origins[here] = label
        before = into.get(key)
        if isinstance(value, dict):
            below = dict(before) if isinstance(before, dict) else {}
            _merge(below, value, label, here, origins)
            into[key] = below
        elif value is False and isinstance(before, dict):
            del into[key]
        elif not path and key in _APPENDED and isinstance(before, list) and isinstance(value, list):
            into[key] = _added(before, value)
        else:
            into[key] = value


def _added(before: Sequence[object], after: Sequence[object]) -> list[object]:
    """`before` and `after` as one; an entry for a package that `before` names replaces that one."""
    names = {_name_of(entry) for entry in after}
    return [entry for entry in before if _name_of(entry) not in names] + list(after)


def _name_of(entry: object) -> object:
    match = re.match(r"\s*([A-Za-z0-9][\w.-]*)", entry) if isinstance(entry, str) else None
    return canonicalize_name(match[1]) if match else entry


def _read(name: str, table: Table, own: tuple[str, ...], origins: Mapping[str, str]) -> Profile:
    smoke = table.table("smoke")
    profile = Profile(
        name=name,
        description=table.require("description", str, ""),
        as_of=table.require("as_of", dt.date, dt.date.min),
        constraints=table.strings("constraints"),
        requirements=_requirements(table),
        own=own,
        platforms=_known_words(table, "platforms", PLATFORMS),
        pythons=_pythons(table),
        installer=_installer(table),
        indexes=_indexes(table),
        layers=_layers(table),
        moved=_moved(table),
        env=_env(table),
        tiers=_known_words(smoke, "tiers", TIERS) or ("static",),
        origins=tuple(sorted(origins.items())),
    )
    smoke.close()
    for key, found in (("platforms", profile.platforms), ("requirements", profile.requirements)):
        if not found:
            table.fault(key, "missing or empty, expected at least one")
    if not profile.pythons:
        table.fault("python", "missing", hint='add a table [python."3.11"] with full = "3.11.16"')
    return profile


def _requirements(table: Table) -> tuple[str, ...]:
    """The requirements in normal form; markers are allowed, direct URLs are not: no index vouches for them."""
    found = []
    for position, text in enumerate(table.strings("requirements")):
        place = f"requirements[{position}]"
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            table.fault(place, f"found {text!r}, expected a requirement: {str(error).splitlines()[0]}")
            continue
        if requirement.url:
            table.fault(place, f"found {text!r}: a direct URL has no index that vouches for it", "map an index to the package")
        requirement.name = canonicalize_name(requirement.name)
        found.append(str(requirement))
    return tuple(found)


def _known_words(table: Table, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    words = table.strings(key)
    for position, word in enumerate(words):
        if word not in known:
            table.fault(f"{key}[{position}]", f"found {word!r}", suggestion(word, known))
    return tuple(word for word in words if word in known)


def _pythons(table: Table) -> tuple[Python, ...]:
    found = []
    for version, inner in table.table("python").each():
        full = inner.require("full", str, "")
        if full and not (_FULL_VERSION.fullmatch(full) and full.startswith(f"{version}.")):
            inner.fault("full", f"found {full!r}, expected a full version of Python {version}", f'as in full = "{version}.1"')
        base = inner.get("base", str, "")
        if base and not _BASE.fullmatch(base):
            inner.fault("base", f"found {base!r}, expected NAME:TAG@sha256:DIGEST", "a tag alone moves: pin the base by digest")
        found.append(Python(version=version, full=full, base=base))
        inner.close()
    return tuple(found)


def _installer(table: Table) -> str:
    text = table.require("installer", str, "")
    if text and not re.fullmatch(r"uv==\d+(\.\d+)+", text):
        table.fault("installer", f"found {text!r}, expected an exact version of uv", 'as in installer = "uv==0.12.17"')
    return text


def _indexes(table: Table) -> tuple[Index, ...]:
    found = []
    for name, inner in table.table("index").each():
        url = inner.require("url", str, "")
        if not PROFILE_NAME.fullmatch(name) or name == "default":
            table.fault(f"index.{name}", "not a name an index can have", "use small letters, digits and -, not 'default'")
        parts = urlsplit(url)
        if url and parts.scheme not in ("https", "http"):
            inner.fault("url", f"found {url!r}, expected an http(s) URL", f"a folder goes into ENVGEN_INDEX_{_env_form(name)}")
        elif "@" in parts.netloc:
            variable = f"ENVGEN_INDEX_{_env_form(name)}_USERNAME"
            inner.fault("url", "credentials in a committed file", f"take them out and set {variable} and …_PASSWORD, or use ~/.netrc")
        packages = tuple(canonicalize_name(package) for package in inner.strings("packages"))
        if not packages:
            inner.fault("packages", "missing or empty: a package comes from an index only when it is named here")
        platforms = _known_words(inner, "platforms", PLATFORMS)
        times = inner.get("upload_times", bool, True)
        found.append(Index(name=name, url=url.rstrip("/"), packages=packages, platforms=platforms, upload_times=times))
        inner.close()
    return tuple(found)


def _env_form(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _layers(table: Table) -> tuple[Layer, ...]:
    inner = table.table("layers")
    found = []
    for name in inner.names():
        if not PROFILE_NAME.fullmatch(name):
            inner.fault(name, "not a name a layer can have", "use small letters, digits and -")
        found.append(Layer(name=name, packages=inner.strings(name)))
    return tuple(found)


def _moved(table: Table) -> tuple[tuple[str, dt.date], ...]:
    """The packages that are read as of a date of their own: `[package.NAME] as_of = DATE`."""
    found = []
    for name, inner in table.table("package").each():
        found.append((canonicalize_name(name), inner.require("as_of", dt.date, dt.date.min)))
        inner.close()
    return tuple(found)


def _env(table: Table) -> tuple[tuple[str, str], ...]:
    inner = table.table("env")
    found = []
    for name in inner.names():
        value = inner.get(name, str, "")
        if not _ENV_NAME.fullmatch(name):
            inner.fault(name, "not a name an environment variable can have")
        if any(ord(char) < 32 for char in value):
            inner.fault(name, "a control character in an environment variable")
        found.append((name, value))
    return tuple(found)


def check_python_floor(profile: Profile, floor: str, source: str) -> None:
    """Every Python of `profile` must satisfy the documented bound `floor`, e.g. `>=3.10`, found in `source`.

    Raises ProfileError, or ProfileErrors.
    """
    from packaging.specifiers import SpecifierSet

    labels = dict(profile.origins)
    faults = Faults(lambda path: labels.get(path, profile.name))
    allowed = [f"3.{minor}" for minor in range(9, 15) if SpecifierSet(floor).contains(f"3.{minor}.0")]
    for python in profile.pythons:
        try:
            fits = Version(python.full) in SpecifierSet(floor)
        except InvalidVersion:
            fits = False
        if not fits:
            problem = f"not supported: the documented floor is {floor}\n({source})"
            faults.add(join_path("python", python.version), problem, f"use one of {', '.join(allowed)}")
    faults.raise_any()
