"""envgen in a process that is killed (SIGKILL) at one of its own steps: `python killed.py STEP ARGUMENTS…`.

A step is something that changes a file, opens a connection or starts a program, as Python's own audit events say; they are
counted from 0. Killed before the first step that does not exist, it ends by itself, and prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys

STEPS = frozenset(
    ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "subprocess.Popen", "socket.connect")
)


class Killer:
    """An audit hook that kills its process before the step `last`."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event not in STEPS and not writes:
            return
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


if __name__ == "__main__":
    from envgen.cli import main

    killer = Killer(int(sys.argv[1]))
    sys.addaudithook(killer)
    code = main(sys.argv[2:])
    print(f"steps: {killer.count}", file=sys.stderr)
    sys.exit(code)
