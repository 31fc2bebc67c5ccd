"""Typed reading of TOML tables: faults are collected with their file and path, and unknown keys get a suggestion."""

import codecs
import datetime as dt
import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from envgen.core.errors import ProfileError, ProfileErrors

T = TypeVar("T")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NAMES = {
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "a table",
    dt.date: "a date",
    dt.datetime: "an instant",
    dt.time: "a time of day",
}
_HINTS = {dt.date: "as in 2026-09-22, without quotes or a time of day", bool: "true or false, without quotes"}


DEPTH = 16
"""The deepest nesting of tables and arrays; our own files have five levels."""


def load_toml(path: Path, label: str) -> dict[str, object]:
    """Read the TOML file at `path`, which messages call `label`.

    Raises ProfileError if it can't be read or parsed.
    """
    try:
        return parse_toml(path.read_bytes())
    except ValueError as error:
        raise ProfileError(label, f"invalid TOML: {error}") from error
    except OSError as error:
        raise ProfileError(label, f"can't be read: {error.strerror}") from error


def parse_toml(data: bytes) -> dict[str, object]:
    """Parse the TOML in `data`. Raises ValueError, also for integers over 64 bits and tables nested too deeply."""
    try:
        document = tomllib.loads(decode_toml(data))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level: list[object] = [document]
    for _ in range(DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in level):
            raise ValueError("integer out of the 64-bit range")
    if level:
        raise ValueError("nested too deeply")
    return document


def decode_toml(data: bytes) -> str:
    """Decode a TOML file, without its byte order mark if it has one. Raises ValueError."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("found UTF-16, expected UTF-8: save it in that encoding")
    return data.removeprefix(codecs.BOM_UTF8).decode()


def _inside(value: object) -> Iterable[object]:
    """The values of a table or array; nothing for any other value."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def toml_string(text: str) -> str:
    """Format `text` as a TOML basic string. JSON's escapes are valid TOML; DEL must be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def suggestion(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """`did you mean …?` for the closest known word, else a list of all."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(known)}" if known else ""


def join_path(path: str, key: str) -> str:
    """The path of `key` below `path`, as written in TOML."""
    quoted = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
    return f"{path}.{quoted}" if path else quoted


class Faults:
    """Collects faults, to be raised together; `label_of` names the file that set the value at a path."""

    def __init__(self, label_of: Callable[[str], str]) -> None:
        self._label_of = label_of
        self._found: list[ProfileError] = []

    def add(self, path: str, problem: str, hint: str = "") -> None:
        self._found.append(ProfileError(f"{self._label_of(path)}: {path}", problem, hint=hint))

    def within(self, label: str) -> "Faults":
        """The same faults, for what stands in the file called `label`."""
        inner = Faults(lambda _path: label)
        inner._found = self._found
        return inner

    def raise_any(self) -> None:
        """Raise ProfileError for one fault, ProfileErrors for several."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise ProfileErrors(tuple(self._found))


class Table:
    """A TOML table being read; `close` reports the keys that were not read as unknown."""

    def __init__(self, data: Mapping[str, object], faults: Faults, path: str = "") -> None:
        self._data = data
        self._faults = faults
        self._path = path
        self._known: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def lacks(self, key: str) -> bool:
        """Whether `key` is missing or empty."""
        return self._data.get(key) in (None, [], {})

    def is_text(self, key: str, text: str) -> bool:
        """Whether the value of `key` is the string `text`."""
        self._known[key] = None
        return self._data.get(key) == text

    def at(self, key: str) -> str:
        return join_path(self._path, key)

    def fault(self, key: str, problem: str, hint: str = "", *, position: int | None = None) -> None:
        """Report a fault in the value of `key`, or in one entry of it."""
        self._faults.add(self.at(key) + ("" if position is None else f"[{position}]"), problem, hint)

    def get(self, key: str, kind: type[T], default: T) -> T:
        """Return the value of `key`, or `default` if it is missing or, which is a fault, not of type `kind`."""
        self._known[key] = None
        if key not in self._data:
            return default
        value = self._data[key]
        # In Python a bool is an int and a datetime is a date; in TOML they are different types.
        disguised = (isinstance(value, bool) and kind is int) or (isinstance(value, dt.datetime) and kind is dt.date)
        if isinstance(value, kind) and not disguised:
            return value
        self.fault(key, f"found {_kind_of(value)}, expected {_NAMES[kind]}", _HINTS.get(kind, ""))
        return default

    def require(self, key: str, kind: type[T], default: T) -> T:
        """Like `get`, but a missing key is a fault too."""
        if key not in self._data:
            self._known[key] = None
            self.fault(key, f"missing, expected {_NAMES[kind]}")
            return default
        return self.get(key, kind, default)

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the array of strings at `key`; empty if it is missing."""
        strings: list[str] = []
        for position, value in enumerate(self.get(key, list, [])):
            if isinstance(value, str):
                strings.append(value)
            else:
                self.fault(key, f"found {_kind_of(value)}, expected a string", position=position)
        return tuple(strings)

    def table(self, key: str) -> "Table":
        """Return the table at `key`; an empty one if it is missing."""
        return Table(self.get(key, dict, {}), self._faults, self.at(key))

    def each(self) -> Iterator[tuple[str, "Table"]]:
        """Yield each table in this one, with its name."""
        for name in self.names():
            yield name, self.table(name)

    def array_of_tables(self, key: str) -> Iterator["Table"]:
        for position, value in enumerate(self.get(key, list, [])):
            if isinstance(value, dict):
                yield Table(value, self._faults, f"{self.at(key)}[{position}]")
            else:
                self.fault(key, f"found {_kind_of(value)}, expected a table", position=position)

    def names(self) -> tuple[str, ...]:
        """The keys of this table, in the order of the file."""
        return tuple(self._data)

    def close(self) -> None:
        """Report the keys that were not read as unknown."""
        for key in self._data:
            if key not in self._known:
                self.fault(key, "unknown key", hint=suggestion(key, self._known))


def _kind_of(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"a date with a time ({value.isoformat()})"
    name = next((text for kind, text in _NAMES.items() if isinstance(value, kind)), type(value).__name__)
    if isinstance(value, bool):
        return f"{name} ({str(value).lower()})"
    return f"{name} ({value!r})" if isinstance(value, str | int | float) else name
