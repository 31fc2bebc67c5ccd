"""The installed command with its time limited and its memory measured."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from command import Done, program

SECONDS = 60.0
MEMORY = 300 << 20
"""Bytes that a command may have resident at most."""


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
        process = subprocess.Popen([program(), *arguments], cwd=cwd, env=os.environ | dict(env), stdout=out, stderr=err)
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        in_time = timer.is_alive()
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        done = Done(code=process.returncode, stdout=out.read(), stderr=err.read())
    return Bounded(done=done, memory=usage.ru_maxrss << 10, in_time=in_time)
