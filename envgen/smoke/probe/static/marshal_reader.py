"""Reads marshalled code without creating objects from it.

Python's own reader is not safe for malicious bytes, and the byte code is untrusted. Code that is equal in everything that runs gives
equal forms, including types and signs of zeros; references and interning are ignored, since equal code may have other ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

Form = object
"""Nested tuples that begin with their kind."""

_REFERENCED = 0x80
# A code object has so many numbers, then values, and after the number of its first line further values.
_NUMBERS, _VALUES, _TABLES = (5, 8, 2) if sys.version_info >= (3, 11) else (6, 8, 1)
_SINGLE = {b"N": "None", b"T": "True", b"F": "False", b".": "Ellipsis", b"S": "StopIteration"}
_FIXED = {b"i": ("int", 4), b"g": ("float", 8), b"y": ("complex", 16)}
_TEXT = {b"s": ("bytes", 4), b"t": ("str", 4), b"u": ("str", 4), b"a": ("str", 4), b"A": ("str", 4), b"z": ("str", 1), b"Z": ("str", 1)}
_ASCII = (b"a", b"A", b"z", b"Z")
_MANY = {b"(": ("tuple", 4), b")": ("tuple", 1), b">": ("frozenset", 4)}


class Reader:
    """Reads one value at `position`, which is moved to its end. Raises ValueError for an invalid one."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position
        self._references: list[Form | None] = []

    def value(self) -> Form:
        """Read a value; raise ValueError, or RecursionError if it is nested too deep."""
        first = self._take(1)[0]
        kind = bytes((first & ~_REFERENCED,))
        if kind == b"r":
            return self._reference()
        if kind in _SINGLE:
            # Python never marks these as referenced, and ignores the mark when it reads them.
            if first & _REFERENCED:
                raise ValueError(f"a reference to {_SINGLE[kind]}")
            return (_SINGLE[kind],)
        place = len(self._references)
        if first & _REFERENCED:
            self._references.append(None)
        form = self._form(kind)
        if first & _REFERENCED:
            self._references[place] = form
        return form

    def _form(self, kind: bytes) -> Form:
        if kind in _FIXED:
            name, size = _FIXED[kind]
            return name, self._take(size)
        if kind in _TEXT:
            name, size = _TEXT[kind]
            text = self._take(self._number(size))
            if kind in _ASCII and not text.isascii():
                raise ValueError("text that should be ASCII")
            return name, text
        if kind in _MANY:
            name, size = _MANY[kind]
            items = self._several(self._number(size))
            return name, tuple(sorted(items, key=repr)) if name == "frozenset" else items
        others: dict[bytes, Callable[[], Form]] = {b"l": self._long, b"c": self._code, b":": lambda: ("slice", self._several(3))}
        if kind not in others:
            raise ValueError(f"unexpected type {kind!r}")
        return others[kind]()

    def _code(self) -> Form:
        numbers = self._take(4 * _NUMBERS)
        return "code", numbers, self._several(_VALUES), self._take(4), self._several(_TABLES)

    def _long(self) -> Form:
        count = int.from_bytes(self._take(4), "little", signed=True)
        return "long", count, self._take(2 * abs(count))

    def _reference(self) -> Form:
        place = self._number(4)
        form = self._references[place] if place < len(self._references) else None
        if form is None:
            raise ValueError("a reference to nothing")
        return form

    def _several(self, count: int) -> tuple[Form, ...]:
        if count > len(self._data):
            raise ValueError("a size beyond its end")
        return tuple([self.value() for _ in range(count)])

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _take(self, size: int) -> bytes:
        content = self._data[self.position : self.position + size]
        if len(content) < size:
            raise ValueError("truncated")
        self.position += size
        return content
