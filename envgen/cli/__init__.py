"""The command line. Only this package prints.

`app` lists the commands, each in a module of its own; `wiring` chooses the implementations. Errors become messages and exit codes here.
"""

import io
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from textwrap import wrap
from types import FrameType

from envgen.cli import app
from envgen.cli.streams import open_closed_streams
from envgen.core.errors import EnvgenError
from envgen.core.tempdirs import disk_full, is_full
from envgen.core.text import printable_lines
from envgen.core.unwritable import is_users_own, unusable

ENDED_BY = 128
"""Added to a signal's number for the exit code, as shells do: 130 after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or that of an error's class. A bug in envgen is a traceback and exit code 1."""
    open_closed_streams()
    # Characters that standard output can't encode are written as \x….
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        handle_signals()
        return app.run(app.parse(arguments))
    except EnvgenError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt as interruption:
        print("interrupted; no partial files left behind", file=sys.stderr)
        return ENDED_BY + (interruption.args[0] if interruption.args else signal.SIGINT)
    except BrokenPipeError:
        # The reader, such as head, closed the pipe; without this Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if not is_full(error) and not is_users_own(error):
            raise
        found = disk_full(error) if is_full(error) else unusable(error)
        print_error(found)
        return found.exit_code


def handle_signals() -> None:
    """Make SIGTERM and SIGHUP act like Ctrl-C."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # A signal that our parent ignores, as nohup does, stays ignored.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def print_error(error: EnvgenError) -> None:
    """Print each fault as `error: where: what`, and its cure as `hint: …`."""
    for fault in error.faults():
        first, *more = printable_lines(str(fault).rstrip("\n"))
        lines = [f"error: {first}", *(f"       {line}" for line in more)]
        if fault.hint:
            first, *more = printable_lines(fault.hint.rstrip("\n"))
            lines += [f"hint:  {first}", *(f"       {line.lstrip()}" for line in more)]
        print(*(wrap_for_terminal(line) for line in lines), sep="\n", file=sys.stderr)


def wrap_for_terminal(line: str) -> str:
    """Wrap `line` to the width of a terminal; elsewhere it stays one line, so that it can be searched."""
    if not sys.stderr.isatty():
        return line
    indent = " " * min(len(line) - len(line.lstrip()) or 7, 7)
    width = max(shutil.get_terminal_size().columns, 40)
    return "\n".join(wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)) or line
