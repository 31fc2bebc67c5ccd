"""Runs programs. The only module that imports subprocess."""

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
    """The exit code (negative: the signal) and the output of a program."""

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
    """Run `command` without a shell and wait for it; `on_line` is called with each line of its standard error.

    An interruption stops the program first. Without `on_line` the program may take `limit` seconds.
    Raises FileNotFoundError if there is no such program, TimeoutError if it exceeded the limit.
    """
    with _started(command, env, cwd, text=True) as process:
        try:
            stdout, stderr = process.communicate(timeout=limit) if on_line is None else _follow(process, on_line)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"timed out after {limit:g} s") from error
    return Completed(code=process.returncode, stdout=stdout, stderr=stderr)


def run_binary(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None) -> Completed[bytes]:
    """Run `command` as `run` does, with its standard output as bytes. Raises FileNotFoundError."""
    with _started(command, env, cwd, text=False) as process:
        stdout, stderr = process.communicate()
    return Completed(code=process.returncode, stdout=stdout, stderr=stderr.decode(errors="replace"))


@contextmanager
def _started(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None, *, text: bool) -> Iterator[subprocess.Popen[Any]]:
    """A running program with piped output: known to `stop_all` inside the context, and stopped on an exception."""
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
    """Run `command` on our own standard streams and return its exit code, or 128 plus the number of the signal that ended it.

    Ctrl-C is left to the program, since the terminal sends it to both processes; other signals are forwarded.
    Raises FileNotFoundError if there is no such program.
    """
    program: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            for process in program:
                process.send_signal(number)

    previous = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Ignored signals stay ignored, and the program inherits that; it does not inherit handlers.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            previous[number] = signal.signal(number, pass_on)
    try:
        program.append(subprocess.Popen([str(part) for part in command], env=dict(env)))
        code = program[0].wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def stop_all() -> None:
    """Terminate all running programs: an interruption reaches only the main thread, not those that wait for a program."""
    for process in tuple(_running):
        process.terminate()


def _follow(process: subprocess.Popen[str], on_line: Callable[[str], None]) -> tuple[str, str]:
    """Forward standard error line by line; only for programs that write little to standard output."""
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
