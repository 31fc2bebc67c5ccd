"""What every step of the set-up shares: words on the screen, expected failures, running commands, paths."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = CHECKOUT / ".machine"


class MachineError(Exception):
    """An expected failure: what went wrong, and what the user can do about it."""

    def __init__(self, message: str, hint: str) -> None:
        """Say where, what was found, what was expected; then the correction."""
        super().__init__(message)
        self.hint = hint


def say(message: str) -> None:
    """Print one line of progress. It goes to stderr, so that `shell-env` can print only shell to stdout."""
    print(f"machine: {message}", file=sys.stderr, flush=True)


def substituted(what: str, by: str, why: str) -> None:
    """Say that something stands in for what a normal machine has."""
    print(f"substituted: {by} in place of {what}: {why}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    hint: str = "read the output above",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    unbroken: bool = False,
) -> str:
    """Run a command quietly and return what it printed; only when it fails is its output shown.

    An `unbroken` command is left to finish when we are interrupted: a half-installed package helps nobody.
    """
    words = [os.fspath(word) for word in command]
    try:
        child = subprocess.Popen(
            words,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=unbroken,
        )
    except FileNotFoundError as gone:
        raise MachineError(f"{words[0]}: not found, expected a command on PATH", hint) from gone
    try:
        output, _ = child.communicate()
    except BaseException:
        if not unbroken:
            child.terminate()
        child.communicate()
        raise
    if child.returncode:
        sys.stderr.write("".join(f"  | {line}\n" for line in output.splitlines()[-40:]))
        raise MachineError(f"{shlex.join(words)}: exit code {child.returncode}, expected 0", hint)
    return output


def attempt(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None, timeout: float = 30) -> str | None:
    """Run a command that is allowed to fail: its output, or None."""
    try:
        done = subprocess.run(
            [os.fspath(word) for word in command],
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def remove_tree(folder: Path) -> None:
    """Remove a folder, whether or not it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def wait_until(ready: Callable[[], bool], *, seconds: float, every: float = 0.1) -> bool:
    """Poll until something is true; False when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def need_root(what: str) -> None:
    """Stop unless we are root: some steps can't be done otherwise, and we ask only for those."""
    if os.geteuid() != 0:
        raise MachineError(
            f"{what}: found uid {os.geteuid()}, expected root",
            f"run it as root, e.g. sudo python3 {os.path.relpath(Path(__file__).parent)} …",
        )
