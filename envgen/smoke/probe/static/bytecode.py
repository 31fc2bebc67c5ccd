"""Compares byte code with its source, recompiled by this Python.

Phase byte-code does so for another image, whose byte code is unpacked beside its sources: it runs in the base of that image
with `python -I -S`, and every finding is a line of its own.
"""

from __future__ import annotations

import importlib.util
import marshal
import struct
import warnings
from pathlib import Path
from types import CodeType

import environment
import harness
import processes
from marshal_reader import Reader

UNCOMPILABLE = "can't be compiled: "
_UNCHECKED_HASH = 0b01
_HEADER = 16


def byte_code(job: harness.Job) -> str:
    """Every source has the byte code that this Python compiles; all findings are listed."""
    findings, summary = examine_all(environment.of(job))
    if findings:
        raise harness.Failed("\n".join(findings))
    return summary


def examine_all(image: environment.Tree) -> tuple[list[str], str]:
    """Return the findings, and what was compared."""
    pairs = [
        (f"{image.prefix}/{source}", f"{image.prefix}/{target}")
        for source, target in image.sources.items()
        if Path(image.prefix, source).is_file()
    ]
    found = processes.run(examine, pairs)
    uncompilable = [text for text in found if text.startswith(UNCOMPILABLE)]
    names = [text.removeprefix(f"{UNCOMPILABLE}{image.prefix}/{image.site_packages}/") for text in uncompilable]
    note = f"; {len(names)} can't be compiled and have none: {', '.join(names[:3])}" if names else ""
    missing = len(image.sources) - len(pairs)
    note += f"; {missing} sources are missing" if missing else ""
    findings = [text for text in found if not text.startswith(UNCOMPILABLE)]
    return findings, f"{len(pairs) - len(names)} sources compiled again, all equal{note}"


def examine(pair: tuple[str, str]) -> str | None:
    """Return the problem with the byte code of a source, or None; `pair` is their paths.

    For a source that can't be compiled and has no byte code, return UNCOMPILABLE and its path.
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
    """Compile as compileall does, or return None where it gives up: on any exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compile(text, source, "exec", dont_inherit=True, optimize=0)
        except Exception:
            return None


def _header_problem(found: bytes, expected: bytes) -> str | None:
    if found[:4] != expected[:4]:
        return f"magic number {found[:4].hex()} (expected {expected[:4].hex()})"
    if found[4:8] != expected[4:8]:
        return f"flags {found[4:8].hex()} (expected {expected[4:8].hex()}, an unchecked hash)"
    return None if found == expected else "compiled from another source (the hash in its header differs)"


def _code_problem(found: bytes, code: CodeType) -> str | None:
    """Compare code whose bytes differ: equal code may have other references between its parts."""
    reader = Reader(found, _HEADER)
    try:
        equal = reader.value() == Reader(marshal.dumps(code), 0).value()
    except (ValueError, RecursionError) as error:
        return f"unreadable ({error})"
    if not equal:
        return "not what this Python compiles from its source"
    extra = len(found) - reader.position
    return f"{extra} bytes after its end" if extra else None


CHECKS: harness.Checks = (("byte-code", byte_code),)
