"""The part of the environment that comes from no wheel: pyvenv.cfg and the links to the base's interpreter."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

CONFIGURATION = "pyvenv.cfg"
_OPTIONAL = {"executable", "command"}


def links(version: str) -> dict[str, str | None]:
    """Return the symbolic links for a full Python version, each with its target if that is always the same."""
    minor = ".".join(version.split(".")[:2])
    return {"bin/python": None, "bin/python3": None, f"bin/python{minor}": None, "lib64": "lib"}


def folders(site_packages: str) -> set[str]:
    """Return the folders of the skeleton, relative to the prefix."""
    return {"bin", "lib", str(Path(site_packages).parent), site_packages}


def problems(prefix: str, version: str) -> list[str]:
    """Return the problems of the skeleton at `prefix` for a full Python version."""
    configuration = Path(prefix) / CONFIGURATION
    if not configuration.is_file() or configuration.is_symlink():
        return [f"{CONFIGURATION}: missing, or not a file"]
    values = parse(configuration.read_text(encoding="utf-8"))
    found = configuration_problems(values, version)
    if _is_inside(values.get("home", ""), prefix):
        found.append(f"{CONFIGURATION}: home = {values['home']} (expected a folder outside of {prefix})")
    for link, target in links(version).items():
        path = Path(prefix) / link
        if not path.is_symlink():
            found.append(f"{link}: missing, or not a symbolic link")
        elif target is not None and str(path.readlink()) != target:
            found.append(f"{link}: leads to {path.readlink()} (expected {target})")
        elif target is None:
            found += _interpreter_problems(link, path, values.get("home", ""), version)
    return found


def parse(text: str) -> dict[str, str]:
    """Return the pairs in a pyvenv.cfg."""
    pairs = (line.partition("=") for line in text.splitlines() if line.strip())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def configuration_problems(values: Mapping[str, str], version: str) -> list[str]:
    """Return the problems of the pairs in pyvenv.cfg that are visible without the file system."""
    expected = {"include-system-site-packages": "false", "version": version}
    found = [
        f"{CONFIGURATION}: {key} = {values.get(key)} (expected {value})" for key, value in expected.items() if values.get(key) != value
    ]
    home = values.get("home", "")
    if not Path(home).is_absolute():
        found.append(f"{CONFIGURATION}: home = {home} (expected an absolute folder)")
    unknown = sorted(set(values) - {"home", *expected} - _OPTIONAL)
    return found + [f"{CONFIGURATION}: unexpected {key}" for key in unknown]


def _interpreter_problems(link: str, path: Path, home: str, version: str) -> list[str]:
    """Every link must lead to the interpreter in `home`, which is also the one that runs this."""
    expected = os.path.realpath(f"{home}/python{'.'.join(version.split('.')[:2])}")
    actual = os.path.realpath(path)
    if actual != expected or not os.access(actual, os.X_OK):
        return [f"{link}: leads to {actual} (expected the executable {expected})"]
    if actual != os.path.realpath(sys.executable):
        return [f"{link}: leads to {actual} (expected {os.path.realpath(sys.executable)}, which runs this check)"]
    return []


def _is_inside(path: str, prefix: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(prefix) + os.sep)
