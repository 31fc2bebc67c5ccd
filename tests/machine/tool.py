"""The project itself, installed from the checkout into a virtual environment of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

import apt
from common import CHECKOUT, STATE, MachineError, attempt, run, say

VENV = STATE / "venv"
PYTHON = VENV / "bin" / "python"
# Not sys.executable: run from inside our own environment that would be the Python we are about to replace.
OUTSIDE = Path(sys.executable).resolve()
PINS = CHECKOUT / "tests" / "requirements.txt"
"""All that the project, its build and its tests ask for, by version and hash; how it is written stands at its top."""
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


def ensure() -> Path:
    """Install the project from the checkout, as it is now. The folder its commands are in."""
    if not PINS.is_file():
        raise MachineError(f"{PINS}: not found, expected a checkout of the project", "git status")
    make_environment()
    stamp = VENV / "pins"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        say("tool: installing what the project and its tests need (pip install --require-hashes -r tests/requirements.txt)")
        pip("install", "--require-hashes", "-r", PINS)
        stamp.write_text(wanted, encoding="utf-8")
    # pip keeps what is installed as long as the version is the same, and the code is not.
    say("tool: installing the checkout as it is now")
    pip("install", "--no-build-isolation", "--no-deps", "--force-reinstall", ".")
    return VENV / "bin"


def path_with(*folders: Path) -> str:
    """The PATH with these folders first."""
    return os.pathsep.join([*map(os.fspath, folders), os.environ.get("PATH", os.defpath)])
