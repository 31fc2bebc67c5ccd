"""Predicts the scripts that uv writes for a wheel: launchers of entry points, and shebangs of the environment's Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from envgen.core.errors import SmokeError

_ENTRY_POINT = re.compile(r"(?P<module>[\w\-.]+)\s*:\s*(?P<function>[\w\-.]+)(?:\s*\[\s*[^,\s\]][^\]]*\])?\s*")
_LAUNCHER = """\
{shebang}
# -*- coding: utf-8 -*-
import sys
from {module} import {import_name}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({function}())
"""
_LONGEST_SHEBANG = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of an environment; `prefix` is absolute, `python` is like "3.11"."""

    prefix: str
    python: str

    @property
    def site_packages(self) -> str:
        """The folder of the packages, relative to the prefix."""
        return f"lib/python{self.python}/site-packages"

    @property
    def shebang(self) -> str:
        """The first line of every script, without its newline; three lines of shell if the kernel could not handle one line."""
        python = f"{self.prefix}/bin/python"
        if len(f"#!{python}\n") <= _LONGEST_SHEBANG and " " not in python:
            return f"#!{python}"
        quoted = python.replace("'", "'\"'\"'")
        return f"#!/bin/sh\n'''exec' '{quoted}' \"$0\" \"$@\"\n' '''"


def with_shebang(script: bytes, layout: Layout) -> bytes | None:
    """A script with its first line replaced, or None if its first line does not call for that."""
    if not script.startswith(b"#!python"):
        return None
    return layout.shebang.encode() + b"\n" + re.sub(rb"\A[^\r\n]*(\r\n|\r|\n)?", b"", script)


def launchers(entry_points: str, layout: Layout) -> dict[str, bytes]:
    """The launcher of every console and GUI script in the text of an entry_points.txt."""
    scripts: dict[str, str] = {}
    for section in ("console_scripts", "gui_scripts"):
        scripts |= dict(_section(entry_points, section))
    # Like pip, uv writes one launcher of pip for the minor version, whatever its wheel says.
    scripts = {name: value for name, value in scripts.items() if not re.fullmatch(r"pip3\.\d+", name)}
    if "pip3" in scripts:
        scripts[f"pip{layout.python}"] = scripts["pip3"]
    return {name: _launcher(value, layout) for name, value in scripts.items()}


def _section(entry_points: str, title: str) -> Iterator[tuple[str, str]]:
    """The keys and values of one section; configparser has other rules for delimiters and interpolation."""
    section = ""
    for line in map(str.strip, entry_points.splitlines()):
        name, equals, value = line.partition("=")
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == title and equals and not line.startswith(("#", ";")):
            yield name.strip(), value.strip()


def _launcher(entry_point: str, layout: Layout) -> bytes:
    match = _ENTRY_POINT.fullmatch(entry_point)
    if match is None:
        raise SmokeError("entry_points.txt", f"unexpected entry point {entry_point!r} (expected module:function)")
    function = match["function"]
    return _LAUNCHER.format(
        shebang=layout.shebang, module=match["module"], function=function, import_name=function.partition(".")[0]
    ).encode()
