"""The installed command with its time limited and its memory measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from command import Done, program

SECONDS = 60.0
MEMORY = 300 << 20
"""Bytes that a command may have resident at most."""

MEASURE = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
"""Starts a command and writes what it had resident, in kB: a child of ours would begin with what these tests have resident."""


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """How a command ended, and the bytes it had resident at most; `in_time` is whether it ended by itself."""

    done: Done
    memory: int
    in_time: bool

    def is_refusal_of(self, path: Path) -> bool:
        """Whether it ended in a message on what is wrong with the archive at `path`, in bounded time and memory."""
        ours = self.done.code == 8 and f"error: {path}: " in self.done.stderr and "Traceback" not in self.done.stderr
        return self.in_time and self.memory <= MEMORY and ours

    def __str__(self) -> str:
        return f"{self.memory >> 20} MB, {'' if self.in_time else 'killed, '}{self.done}"


def bounded(*arguments: str, cwd: Path, env: Mapping[str, str]) -> Bounded:
    """What a command ends with; it is killed when it takes longer than SECONDS."""
    with (cwd / "stdout").open("w+") as out, (cwd / "stderr").open("w+") as err:
        command = [sys.executable, "-c", MEASURE, str(cwd / "memory"), program(), *arguments]
        process = subprocess.Popen(command, cwd=cwd, env=os.environ | dict(env), stdout=out, stderr=err, start_new_session=True)
        timer = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        process.wait()
        in_time = timer.is_alive()
        timer.cancel()
        measured = cwd / "memory"
        memory = int(measured.read_text()) << 10 if measured.is_file() else 0
        measured.unlink(missing_ok=True)
        for stream in (out, err):
            stream.seek(0)
        done = Done(code=process.returncode, stdout=out.read(), stderr=err.read())
    return Bounded(done=done, memory=memory, in_time=in_time)
