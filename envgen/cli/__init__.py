"""The command line: arguments in, words and an exit code out. Everything that is printed is printed from here."""

import os
import sys
from collections.abc import Sequence

from envgen.cli.arguments import parse
from envgen.errors import EnvgenError

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code is 0, that of an error's class, or 1 with a traceback for a bug in envgen."""
    try:
        options = parse(arguments)
        from envgen.cli import commands

        return commands.run(options)
    except EnvgenError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left behind", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output, such as head, has enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def print_error(error: EnvgenError) -> None:
    """Each fault as `error: where: what`, and its cure as `hint: …`."""
    for fault in error.faults():
        first, *more = str(fault).splitlines() or [""]
        print(f"error: {first}", *(f"       {line}" for line in more), sep="\n", file=sys.stderr)
        if fault.hint:
            print(f"hint:  {fault.hint}", file=sys.stderr)
