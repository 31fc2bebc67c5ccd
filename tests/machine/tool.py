"""The project itself, installed from the checkout into a virtual environment of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import apt
from common import CHECKOUT, STATE, MachineError, attempt, run, say

VENV = STATE / "venv"
PYTHON = VENV / "bin" / "python"
# Not sys.executable: run from inside our own environment that would be the Python we are about to replace.
OUTSIDE = Path(sys.executable).resolve()
PROJECT = CHECKOUT / "pyproject.toml"
PIP_HINT = "check that the Python package index can be reached: pip download --no-deps wheel"


def interpreter() -> str:
    """The Python that the environment is for, named so that another one is noticed."""
    return f"{OUTSIDE} {sys.version}"


def make_environment() -> None:
    """Create the virtual environment, or again when it was made with another Python."""
    note = VENV / "made-with"
    works = attempt([PYTHON, "-m", "pip", "--version"]) is not None
    if works and note.is_file() and note.read_text("utf-8") == interpreter():
        return
    if importlib.util.find_spec("ensurepip") is None:
        if OUTSIDE.parent != Path("/usr/bin"):
            raise MachineError(
                f"{OUTSIDE}: has no ensurepip, expected a Python that can make virtual environments",
                "run this with Debian's own: /usr/bin/python3 tests/machine …",
            )
        apt.install(["python3-venv"])
    say("tool: making a virtual environment in .machine/venv")
    run([OUTSIDE, "-m", "venv", "--clear", VENV], hint="see what python3 -m venv needs on this machine")
    note.write_text(interpreter(), encoding="utf-8")


def pip(*arguments: str | Path) -> None:
    """Run the environment's pip, with the machine's own pip configuration."""
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    run(command, cwd=CHECKOUT, hint=PIP_HINT)


def dependencies(project: dict[str, Any]) -> str:
    """A digest of all that the project asks to be installed: as long as it stays, so does what is installed."""
    about = project.get("project", {})
    asked = [project.get("build-system"), about.get("dependencies"), about.get("optional-dependencies")]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def ensure() -> Path:
    """Install the project from the checkout, as it is now. The folder its commands are in."""
    if not PROJECT.is_file():
        raise MachineError(f"{PROJECT}: not found, expected a checkout of the project", "git status")
    make_environment()
    project = tomllib.loads(PROJECT.read_text("utf-8"))
    stamp = VENV / "dependencies"
    wanted = dependencies(project)
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        say("tool: installing the project and its test extra (pip install '.[test]')")
        pip("install", *project.get("build-system", {}).get("requires", []))
        pip("install", "--no-build-isolation", ".[test]")
        stamp.write_text(wanted, encoding="utf-8")
    # pip keeps what is installed as long as the version is the same, and the code is not.
    say("tool: installing the checkout as it is now")
    pip("install", "--no-build-isolation", "--no-deps", "--force-reinstall", ".")
    return VENV / "bin"


def path_with(*folders: Path) -> str:
    """The PATH with these folders first."""
    return os.pathsep.join([*map(os.fspath, folders), os.environ.get("PATH", os.defpath)])
