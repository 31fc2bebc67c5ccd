"""Replaces closed standard streams, as after `2>&-`: Python sets them to None, and the next opened file would get their number."""

import os
import sys


def open_closed_streams() -> None:
    """Open the null device for each standard stream that is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            _occupy(number)
            # Not closed when Python ends: the number stays reserved for programs that we start.
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _occupy(number: int) -> None:
    """Open the null device as file descriptor `number`, unless that is open."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
