"""Edit the dates and bases of a profile in place, preserving its comments and layout."""

import codecs
import datetime as dt
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit

from envgen.core.errors import BaseGoneError, ProfileError, UsageError
from envgen.core.plain_files import check_no_links
from envgen.core.settings import Settings, base_via_mirror
from envgen.core.toml import decode_toml
from envgen.core.unwritable import unwritable
from envgen.engine import Registry
from envgen.engine.interface import Base
from envgen.profiles.catalog import Project
from envgen.profiles.model import Profile, Python, not_begun

_AGO = re.compile(r"([0-9]{1,4}) (day|week)s? ago")


def profile_path(project: Project, name: str) -> Path:
    """The project's file of the profile `name`. Raises UsageError for a shipped profile, or one in a linked folder."""
    path = project.folder / "profiles" / f"{name}.toml"
    if not path.is_file():
        problem = "comes with envgen and is not in this project, so there is no file here to edit"
        raise UsageError(f"profile {name}", problem, hint=f'write a profile of your own with extends = "{name}" and update that')
    check_no_links(project.folder, path.parent)
    return path


def move_date(path: Path, day: dt.date, package: str) -> None:
    """Set `as_of` in the profile at `path`, for all packages or for `package` alone."""
    document = _load(path)
    if not package:
        _set(document, "as_of", day)
    else:
        tables = document.setdefault("package", tomlkit.table(is_super_table=True))
        _set(tables.setdefault(package, tomlkit.table()), "as_of", day)
    _save(path, document)


def move_bases(path: Path, profile: Profile, engine: Registry, settings: Settings) -> Iterator[tuple[Python, Base]]:
    """Move each base in the profile at `path` to the current digest of its tag; yield the old Python and the new base.

    Raises UsageError if there is no base, EngineError if the registry fails or lacks the tag, ProfileError if the tag has moved to
    another Python.
    """
    pythons = [python for python in profile.pythons if python.base]
    if not pythons:
        raise UsageError("--base", f"no Python of {profile.name} has a base to move", hint="add one, as NAME:TAG@sha256:DIGEST")
    for python in pythons:
        tagged = python.base.partition("@")[0]
        current = _asked(engine, base_via_mirror(settings, tagged), mirrored=base_via_mirror(settings, tagged) != tagged)
        if current.python and not current.python.startswith(f"{python.version}."):
            problem = f"{tagged} has Python {current.python} now, expected {python.version}"
            raise ProfileError(f'profiles/{profile.name}.toml: python."{python.version}".base', problem, hint="name a tag of that Python")
        base = Base(pinned=f"{tagged}@{current.pinned.partition('@')[2]}", python=current.python)
        _move_base(path, python, base)
        yield python, base


def _asked(engine: Registry, reference: str, *, mirrored: bool) -> Base:
    try:
        return engine.base(reference)
    except BaseGoneError as error:
        # docker-registry does, for one.
        also = "; or the mirror can't reach its registry, which a pull-through cache says in the same way" if mirrored else ""
        raise BaseGoneError(error.where, error.problem, hint=error.hint + also) from error


def _move_base(path: Path, python: Python, base: Base) -> None:
    """Set the base and full version of `python` in the profile at `path`."""
    document = _load(path)
    pythons = document.setdefault("python", tomlkit.table(is_super_table=True))
    table = pythons.setdefault(python.version, tomlkit.table())
    _set(table, "base", base.pinned)
    _set(table, "full", base.python or python.full)
    _save(path, document)


def parse_day(text: str) -> dt.date:
    """Parse a UTC day: a date such as 2026-11-01, `today`, `yesterday`, or a number of days or weeks ago.

    Raises UsageError, also for a future day, since the indexes would still change.
    """
    words = " ".join(text.lower().split())
    ago = 0 if words == "today" else 1 if words == "yesterday" else _days_ago(words)
    try:
        day = dt.date.fromisoformat(text) if ago is None else dt.datetime.now(tz=dt.UTC).date() - dt.timedelta(days=ago)
    except ValueError as error:
        hint = 'as in --as-of 2026-11-01; also: today, yesterday, "7 days ago", "2 weeks ago"'
        raise UsageError("--as-of", f"found {text!r}, expected a date", hint=hint) from error
    if fault := not_begun(day):
        raise UsageError("--as-of", fault[0], hint=fault[1])
    return day


def _days_ago(words: str) -> int | None:
    match = _AGO.fullmatch(words)
    return int(match[1]) * (7 if match[2] == "week" else 1) if match else None


def _set(table: Any, key: str, value: object) -> None:
    """Set a value, keeping the comment and line ending after it."""
    item = tomlkit.item(value)
    if key in table:
        before = table.item(key).trivia
        item.trivia.comment_ws, item.trivia.comment, item.trivia.trail = before.comment_ws, before.comment, before.trail
    table[key] = item


def _load(path: Path) -> Any:
    # Not as text, which would normalise line endings.
    return tomlkit.parse(decode_toml(path.read_bytes()))


def _save(path: Path, document: Any) -> None:
    try:
        before = path.read_bytes()
        mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
        _replace(path, mark + tomlkit.dumps(document).encode())
    except OSError as error:
        raise unwritable(error, f"profiles/{path.name}", "nothing was changed") from error


def restore(path: Path, content: bytes) -> None:
    """Restore the previous `content` of the profile at `path`. Raises UsageError, DiskFullError."""
    try:
        if path.read_bytes() != content:
            _replace(path, content)
    except OSError as error:
        raise unwritable(error, f"profiles/{path.name}", "the profile is moved, and its locks are not") from error


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)  # also a planted link
        with fresh.open("xb") as stream:
            stream.write(content)
        fresh.chmod(path.stat().st_mode & 0o777)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
