"""envgen.smoke.probe.static.marshal_reader: byte code is read as Python reads it, or refused, and no object is made of it."""

from __future__ import annotations

import marshal
import random
from types import CodeType

import pytest

from envgen.smoke.probe.static.marshal_reader import Form, Reader

SOURCE = """
import sys as system
CONSTANTS = (1, 1.0, -0.0, True, 2**70, -2**40, 1j, "text", "grüße", b"bytes", None, ...)
def function(a, /, b=1, *c, d: int = 2, **e):
    def inner():
        nonlocal b
        return a in {"x", "y", 3, (4, "z")} or b
    try:
        return [inner() for _ in c if d > 1.5]
    finally:
        del e
class Example:
    "Its text."
    value = CONSTANTS[1:2]
"""


def code_of(source: str) -> CodeType:
    return compile(source, "/opt/venv/example.py", "exec", dont_inherit=True, optimize=0)


def form(data: bytes) -> Form:
    reader = Reader(data, 0)
    value = reader.value()
    assert reader.position == len(data)
    return value


@pytest.mark.parametrize("version", [2, 3, 4])
def test_how_equal_code_is_written_makes_no_difference(version: int) -> None:
    expected = form(marshal.dumps(code_of(SOURCE)))
    assert form(marshal.dumps(code_of(SOURCE), version)) == expected
    assert form(marshal.dumps(marshal.loads(marshal.dumps(code_of(SOURCE))), version)) == expected


CHANGES = {
    "1.0": "1", "-0.0": "0.0", "True": "1", '"y"': '"q"', "2**70": "2**71", "b=1": "b=0", 'b"b': '"b', "/, ": "", "grüße": "gruesse",
}  # fmt: skip


@pytest.mark.parametrize("old", CHANGES)
def test_other_code_is_other(old: str) -> None:
    assert old in SOURCE
    assert form(marshal.dumps(code_of(SOURCE.replace(old, CHANGES[old], 1)))) != form(marshal.dumps(code_of(SOURCE)))


def test_every_bit_counts() -> None:
    """Whatever is read as equal is equal to Python too."""
    data = marshal.dumps(code_of(SOURCE))
    expected = form(data)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << random.Random(place).randrange(8)
        try:
            equal = Reader(bytes(changed), 0).value() == expected
        except (ValueError, RecursionError):
            continue
        if equal:
            assert marshal.dumps(marshal.loads(bytes(changed)), 2) == marshal.dumps(code_of(SOURCE), 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"s\x05\0\0\0abc", "truncated"),
        (b"(\xff\xff\xff\xff", "a size beyond its end"),
        (b"r\0\0\0\0", "a reference to nothing"),
        (b"\xa8\x01\0\0\0r\0\0\0\0", "a reference to nothing"),
        (b"\xceN", "a reference to None"),
        (b"z\x02\xc3\xa9", "text that should be ASCII"),
        (b"<\0\0\0\0", "unexpected type b'<'"),
        (b"0", "unexpected type b'0'"),
    ],
)
def test_what_this_python_does_not_write_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Reader(data, 0).value()


def test_what_is_nested_without_end_does_not_crash() -> None:
    with pytest.raises(RecursionError):
        Reader(b")\x01" * 100_000 + b"N", 0).value()
