"""Starting the installed `envgen` as a user does, waiting for things to happen, and looking at what is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def must_fail(self, code: int, *words: str) -> None:
        """The command failed with this code and a message in the error style that has all these words, and no traceback."""
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self.stdout}\n{self.stderr}"
        assert "Traceback" not in self.stderr
        message = self.stderr[self.stderr.find("error: ") :]
        assert message.startswith("error: "), self.stderr
        for word in words:
            assert word in message, f"{word!r} is not in\n{message}"

    def must_pass(self) -> Done:
        assert self.code == 0, f"exit code {self.code}, expected 0\n{self.stdout}\n{self.stderr}"
        return self


def program() -> str:
    found = shutil.which("envgen")
    assert found, "envgen is not on PATH: pip install '.[test]'"
    return found


def envgen(*arguments: str, cwd: Path, env: Mapping[str, str], timeout: float = 300) -> Done:
    """Run a command to its end; `env` is laid over the environment of the tests."""
    done = subprocess.run(
        [program(), *arguments], cwd=cwd, env=os.environ | dict(env), capture_output=True, text=True, check=False, timeout=timeout
    )
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


class Running:
    """A command in a session of its own, as in a terminal of its own."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self._process = process
        self._output = output

    def said(self, text: str) -> bool:
        return text in self._output.read_text()

    def wait_for(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until something is true; the command must not end before."""
        wait_until(lambda: ready() or self._process.poll() is not None, what)
        assert self._process.poll() is None, f"ended before: {what}\n{self._output.read_text()}"

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends it to every process of the group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Ask envgen alone to end, as a service manager does."""
        os.kill(self._process.pid, signal.SIGTERM)

    def kill(self, *, alone: bool) -> None:
        """SIGKILL to envgen `alone`, as when memory runs out, or to all that it started too, as when a CI job ends."""
        if alone:
            os.kill(self._process.pid, signal.SIGKILL)
        else:
            os.killpg(self._process.pid, signal.SIGKILL)

    def ended_within(self, seconds: float) -> bool:
        """Whether the command ends by itself in this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, timeout: float = PATIENCE) -> Done:
        code = self._process.wait(timeout)
        return Done(code=code, stdout="", stderr=self._output.read_text())

    def left_behind(self) -> list[str]:
        """What still runs of its session, which is everything it started."""
        return session_members(self._process.pid)


@contextmanager
def started(*arguments: str, cwd: Path, env: Mapping[str, str], output: Path) -> Iterator[Running]:
    """A command that runs beside the test; it is gone when the context ends."""
    with output.open("w") as stream:
        process = subprocess.Popen(
            [program(), *arguments],
            cwd=cwd,
            env=os.environ | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Running(process, output)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(ready: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Poll until something is true, and fail when the deadline passes first."""
    deadline = time.monotonic() + patience
    while not ready():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.02)


def session_members(session: int) -> list[str]:
    """The command lines of the processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(words)
    return found
