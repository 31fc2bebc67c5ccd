"""Long-running programs that we start: recorded by pid, recognised again, stopped one by one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from common import STATE, MachineError, say, wait_until

RECORDS = STATE / "run"
LOGS = STATE / "log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program we started. Start time and boot tell it from a later one that got the same pid."""

    name: str
    pid: int
    started: str
    boot: str


def boot_id() -> str:
    """The kernel's name for the time since it started: pids of an earlier boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def start_ticks(pid: int) -> str | None:
    """When a process started, in the kernel's clock ticks; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if state in "ZX" else fields[18]


def record_path(name: str) -> Path:
    """Where the record of a program is."""
    return RECORDS / f"{name}.json"


def log_path(name: str) -> Path:
    """Where the output of a program goes."""
    return LOGS / f"{name}.log"


def running(name: str) -> Program | None:
    """The program of this name if the recorded process still is that program."""
    try:
        program = Program(**json.loads(record_path(name).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    alive = program.boot == boot_id() and start_ticks(program.pid) == program.started
    return program if alive else None


def start(name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> Program:
    """Start a program in a session of its own, so that Ctrl-C in the terminal does not reach it before we decide."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    with log_path(name).open("wb") as log:
        child = subprocess.Popen(
            [os.fspath(word) for word in command],
            env=None if env is None else dict(env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(name=name, pid=child.pid, started=start_ticks(child.pid) or "", boot=boot_id())
    record_path(name).write_text(json.dumps(asdict(program)), encoding="utf-8")
    return program


def stop(name: str, *, seconds: float = 30) -> bool:
    """Stop a program that we started; False when it does not run."""
    program = running(name)
    if program is not None:
        say(f"stopping {name} (pid {program.pid})")
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            if running(name) is None:
                break
            os.kill(program.pid, number)
            wait_until(lambda: running(name) is None, seconds=patience)
        if running(name) is not None:
            raise MachineError(f"{name}: pid {program.pid} runs on after SIGKILL", "see what it waits for: ps, dmesg")
        reap(program.pid)
    record_path(name).unlink(missing_ok=True)
    return program is not None


def reap(pid: int) -> None:
    """Take note of the end of a child, which otherwise stays as a zombie where process 1 doesn't do it."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def log_tail(name: str, lines: int = 15) -> str:
    """The last lines of a program's output, indented for an error message."""
    try:
        text = log_path(name).read_text("utf-8", "replace")
    except OSError:
        return ""
    return "".join(f"\n  | {line}" for line in text.splitlines()[-lines:])
