"""Standard streams that are closed, as by `2>&-`: Python has None in their place, and the next file that is opened gets their number."""

import os
import sys


def open_closed_streams() -> None:
    """Opens the null device in place of each standard stream that is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            _occupy(number)
            # Not closed by us when Python ends: the number stays taken for the programs that we start.
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _occupy(number: int) -> None:
    """Makes the file descriptor `number` one of the null device, unless it is open."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
