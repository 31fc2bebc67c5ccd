"""Set up a bare Debian machine for envgen, and run it there: python3 tests/machine COMMAND

    demo [ARGUMENTS…]   set up all that is missing, then run `envgen build cpu-base ARGUMENTS…`
    test [ARGUMENTS…]   the same set-up, then run `pytest ARGUMENTS…` (all tests when there are none)
    reliability         the same set-up, then every campaign of tests/reliability in full: the figures are in its RESULTS.md
    shell-env           set up, leave engine and index running, print the variables: eval "$(… shell-env)"
    base-twice          make the stand-in for the base twice, in different surroundings: the digests must be the same
    stop                stop the engine and the index that this started
    clean               stop them and remove all that this keeps, the folder .machine

What is there is used; what is missing is installed with apt-get and pip or stood in for, and each stand-in is
printed as a line that begins with `substituted:`. Packages stay installed; everything else is in .machine.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - nothing has installed us yet, so nothing has checked it
    sys.exit(f"error: python3: found {sys.version.split()[0]}, expected 3.11 or newer\nhint:  use Debian 12 or newer")

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
from types import FrameType

import apt
import base
import daemon
import session
from common import CHECKOUT, STATE, MachineError, remove_tree, say

INTERRUPTED = 128 + signal.SIGINT
TOOLS = {"docker-registry": "docker-registry", "git": "git", "npm": "npm"}
"""Programs that tests start, and Debian's packages for them; npm brings a linter of workflows."""


def follow(command: list[str], machine: session.Machine) -> int:
    """Run a command in the foreground and pass on how it ended; it ends before us, whatever ends us."""
    say(f"running {shlex.join(command)}")
    child = subprocess.Popen(command, cwd=CHECKOUT, env=machine.environment())
    try:
        code = child.wait()
    except BaseException as stopped:
        # Ctrl-C reached it too, from the terminal; a signal to us alone did not.
        if not isinstance(stopped, KeyboardInterrupt):
            child.terminate()
        for last_resort in (child.terminate, child.kill):
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                last_resort()
        child.wait()
        raise
    return code if code >= 0 else 128 - code


def demo(arguments: list[str]) -> int:
    """Build the profile `cpu-base`."""
    with session.use() as machine:
        stand_in = [] if machine.base is None else ["--base", machine.base]
        return follow(["envgen", "build", "cpu-base", *stand_in, *arguments], machine)


def test(arguments: list[str]) -> int:
    """Run the tests; those of bases start a registry of their own."""
    with session.use(tidy=True) as machine:
        missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
        if missing:
            apt.install(missing)
        return follow(["pytest", *(arguments or ["tests"])], machine)


def reliability(arguments: list[str]) -> int:
    """Run all campaigns in full; each writes its figures when it is through."""
    os.environ["ENVGEN_CAMPAIGN"] = "full"
    return test(["tests/reliability", "--capture=no", *arguments])


def shell_env(arguments: list[str]) -> int:
    """Set up, and print what a shell needs."""
    with session.use(keep=True) as machine:
        for name, value in machine.variables.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f'export PATH={shlex.quote(os.pathsep.join(map(str, machine.folders)))}:"$PATH"')
    return 0


def base_twice(arguments: list[str]) -> int:
    """Prove that the stand-in for the base has one digest."""
    with session.locked("set-up.lock", fcntl.LOCK_EX):
        base.make_twice()
    return 0


def stop(arguments: list[str]) -> int:
    """Stop what runs."""
    session.KEEP.unlink(missing_ok=True)
    say("stopped" if session.stop() else "nothing of ours runs")
    return 0


def clean(arguments: list[str]) -> int:
    """Stop what runs and remove all state."""
    stop(arguments)
    daemon.remove()
    remove_tree(STATE)
    say("removed .machine; packages that were installed stay")
    return 0


COMMANDS = {
    "demo": demo,
    "test": test,
    "reliability": reliability,
    "shell-env": shell_env,
    "base-twice": base_twice,
    "stop": stop,
    "clean": clean,
}


def on_signal(number: int, frame: FrameType | None) -> None:
    """End in order on SIGTERM and SIGHUP, as on Ctrl-C."""
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    """Run one command; expected failures end with a message, never a traceback."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(__doc__)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"error: {name}: no such command, expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        print("hint:  python3 tests/machine --help", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGHUP, on_signal)
    try:
        return COMMANDS[name](rest)
    except MachineError as failure:
        print(f"error: {failure}\nhint:  {failure.hint}", file=sys.stderr)
        return 1
    except PermissionError as denied:
        print(f"error: {denied.filename}: permission denied, expected a folder we can write to", file=sys.stderr)
        print("hint:  run this as root, e.g. sudo python3 tests/machine …", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
