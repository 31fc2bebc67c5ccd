"""The command line: arguments in, words and an exit code out. Everything that is printed is printed from here."""

import io
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from textwrap import wrap
from types import FrameType

from envgen.cli.arguments import parse
from envgen.core.errors import DiskFullError, EnvgenError
from envgen.core.tempdirs import disk_full, is_full

ENDED_BY = 128
"""The exit code after a signal is this and its number, as shells have it: 130 after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code is 0, that of an error's class, or 1 with a traceback for a bug in envgen."""
    # What a terminal can't show is shown as \x…, also where its encoding has no such letter.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        handle_signals()
        options = parse(arguments)
        from envgen.cli import commands

        return commands.run(options)
    except EnvgenError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt as interruption:
        print("interrupted: nothing half-written is left behind", file=sys.stderr)
        return ENDED_BY + (interruption.args[0] if interruption.args else signal.SIGINT)
    except BrokenPipeError:
        # Whoever read our output, such as head, has enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if not is_full(error):
            raise
        print_error(disk_full(error))
        return DiskFullError.exit_code


def handle_signals() -> None:
    """Makes the other signals that ask us to end do what Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Whoever ignores one for us, as nohup does, means it.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def print_error(error: EnvgenError) -> None:
    """Each fault as `error: where: what`, and its cure as `hint: …`."""
    for fault in error.faults():
        first, *more = _printable(str(fault)).split("\n")
        lines = [f"error: {first}", *(f"       {line}" for line in more)]
        if fault.hint:
            first, *more = _printable(fault.hint).split("\n")
            lines += [f"hint:  {first}", *(f"       {line.lstrip()}" for line in more)]
        print(*(wrap_for_terminal(line) for line in lines), sep="\n", file=sys.stderr)


def _printable(text: str) -> str:
    """`text` in which all that would steer a terminal is written as Python writes it: messages quote what others wrote."""
    lines = text.rstrip("\n").expandtabs().split("\n")
    return "\n".join("".join(char if char.isprintable() else repr(char)[1:-1] for char in line) for line in lines)


def wrap_for_terminal(line: str) -> str:
    """`line` broken between words where it is too long for a terminal; anywhere else it stays one line, for whoever searches in it."""
    if not sys.stderr.isatty():
        return line
    indent = " " * min(len(line) - len(line.lstrip()) or 7, 7)
    width = max(shutil.get_terminal_size().columns, 40)
    return "\n".join(wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)) or line
