"""Starting programs: the only module that imports subprocess."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

_running: set[subprocess.Popen[Any]] = set()


Text = TypeVar("Text", str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Generic[Text]):
    """How a program ended: its exit code (negative: the signal) and what it wrote."""

    code: int
    stdout: Text
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    limit: float | None = None,
) -> Completed[str]:
    """Runs `command` without a shell and waits for it; `on_line` gets each line of its standard error as it comes.

    When this is interrupted the program is stopped before the interruption goes on. Without `on_line` it may take `limit` seconds.
    Raises FileNotFoundError when there is no such program, TimeoutError when it was stopped for taking longer.
    """
    with _started(command, env, cwd, text=True) as process:
        try:
            stdout, stderr = process.communicate(timeout=limit) if on_line is None else _follow(process, on_line)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"no end after {limit:g} s") from error
    return Completed(code=process.returncode, stdout=stdout, stderr=stderr)


def run_binary(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None) -> Completed[bytes]:
    """Runs `command` as `run` does, and gives its standard output byte for byte. Raises FileNotFoundError."""
    with _started(command, env, cwd, text=False) as process:
        stdout, stderr = process.communicate()
    return Completed(code=process.returncode, stdout=stdout, stderr=stderr.decode(errors="replace"))


@contextmanager
def _started(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, *, text: bool) -> Iterator[subprocess.Popen[Any]]:
    """A program with its output in pipes: known to `stop_all` while the context lasts, and stopped when that is interrupted."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        errors="replace" if text else None,
    )
    _running.add(process)
    try:
        yield process
    except BaseException:
        _stop(process)
        raise
    finally:
        _running.discard(process)


def run_attached(command: Sequence[str | Path], *, env: Mapping[str, str]) -> int:
    """Runs `command` on our own standard streams and waits for it: its exit code, or 128 and the number of the signal that ended it.

    Ctrl-C is the program's own affair: a terminal sends it to both of us. Signals that are sent to us alone are passed on.
    Raises FileNotFoundError when there is no such program.
    """
    program: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            for process in program:
                process.send_signal(number)

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What is ignored stays so, for the program too. Handlers, unlike that, do not go over to a program that we start.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, pass_on)
    try:
        program.append(subprocess.Popen([str(part) for part in command], env=dict(env)))
        code = program[0].wait()
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
    return code if code >= 0 else 128 - code


def stop_all() -> None:
    """Asks every program that runs to end: an interruption reaches the main thread alone, and not those that wait for one."""
    for process in tuple(_running):
        process.terminate()


def _follow(process: subprocess.Popen[str], on_line: Callable[[str], None]) -> tuple[str, str]:
    """Passes standard error on line by line; for programs that write little to standard output."""
    assert process.stderr is not None
    assert process.stdout is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        on_line(line.rstrip("\n"))
    stdout = process.stdout.read()
    process.wait()
    return stdout, "".join(lines)


def _stop(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
