"""Compares byte code with what this Python makes of its source."""

from __future__ import annotations

import importlib.util
import marshal
import struct
import warnings
from pathlib import Path
from types import CodeType

from marshalled import Reader

UNCOMPILABLE = "can't be compiled: "
_UNCHECKED_HASH = 0b01
_HEADER = 16


def examine(pair: tuple[str, str]) -> str | None:
    """Return what is wrong with the byte code of a source, or None; `pair` is their paths.

    For a source that this Python can't compile, and that rightly has no byte code, return its path behind UNCOMPILABLE.
    """
    source, target = pair
    text = Path(source).read_bytes()
    code = _compile(text, source)
    try:
        found = Path(target).read_bytes()
    except FileNotFoundError:
        return f"{UNCOMPILABLE}{source}" if code is None else f"{target}: missing"
    if code is None:
        return f"{target}: byte code of a source that can't be compiled"
    header = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED_HASH) + importlib.util.source_hash(text)
    if found == header + marshal.dumps(code):
        return None
    problem = _header_problem(found[:_HEADER], header) or _code_problem(found, code)
    return f"{target}: {problem}" if problem else None


def _compile(text: bytes, source: str) -> CodeType | None:
    """Compile as compileall does, or return None where it gives up: at any exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compile(text, source, "exec", dont_inherit=True, optimize=0)
        except Exception:
            return None


def _header_problem(found: bytes, wanted: bytes) -> str | None:
    if found[:4] != wanted[:4]:
        return f"magic number {found[:4].hex()} (expected {wanted[:4].hex()})"
    if found[4:8] != wanted[4:8]:
        return f"flags {found[4:8].hex()} (expected {wanted[4:8].hex()}, an unchecked hash)"
    return None if found == wanted else "made of another source (the hash in its header differs)"


def _code_problem(found: bytes, code: CodeType) -> str | None:
    """Compare code whose bytes differ: equal code may be written with other references between its parts."""
    reader = Reader(found, _HEADER)
    try:
        equal = reader.value() == Reader(marshal.dumps(code), 0).value()
    except (ValueError, RecursionError) as error:
        return f"unreadable ({error})"
    if not equal:
        return "not what this Python makes of its source"
    extra = len(found) - reader.position
    return f"{extra} bytes behind its end" if extra else None
