"""Who uses what we started: runs at the same time share it, and the last one to end stops it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import base
import daemon
import engine
import index
import processes
import tool
from common import STATE, run, say

KEEP = STATE / "keep"  # there while `shell-env` wants engine and index to stay


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the set-up found or made: variables for the commands that run on it."""

    own_engine: bool
    base: str | None
    variables: Mapping[str, str]
    folders: tuple[Path, ...]
    images: frozenset[str] = field(default_factory=frozenset)

    def environment(self) -> dict[str, str]:
        """The whole environment for a command."""
        return {**os.environ, **self.variables, "PATH": tool.path_with(*self.folders)}


@contextmanager
def locked(name: str, kind: int) -> Iterator[int]:
    """Hold a lock of our folder; the kernel lets go of it however we end."""
    STATE.mkdir(exist_ok=True)
    with (STATE / name).open("w") as file:
        fcntl.flock(file, kind)
        yield file.fileno()


def images(env: Mapping[str, str]) -> frozenset[str]:
    """The images in the engine."""
    return frozenset(run(["docker", "image", "ls", "--quiet", "--no-trunc"], env=env).split())


def set_up() -> Machine:
    """Find or make all that a build needs, one run at a time."""
    with locked("set-up.lock", fcntl.LOCK_EX):
        commands = tool.ensure()
        host = engine.ensure()
        variables = {} if host is None else {"DOCKER_HOST": host}
        # Fetched wheels go with the rest, unless somebody wants them elsewhere.
        variables["ENVGEN_CACHE"] = os.environ.get("ENVGEN_CACHE") or str(STATE / "cache")
        folders = (commands, engine.BIN)
        env = {**os.environ, **variables, "PATH": tool.path_with(*folders)}
        stand_in = base.ensure(env)
        if stand_in is not None:
            variables["ENVGEN_TEST_BASE"] = stand_in
        address = index.ensure()
        if address is not None:
            variables[index.VARIABLE] = address
        before = frozenset() if host is None else images(env)
        return Machine(own_engine=host is not None, base=stand_in, variables=variables, folders=folders, images=before)


def prune(machine: Machine) -> None:
    """Remove what a run left in our own engine; the user's engine is none of our business."""
    env = machine.environment()
    say("engine: removing what the tests built")
    run(["docker", "container", "prune", "--force"], env=env)
    built = sorted(images(env) - machine.images)
    if built:
        run(["docker", "image", "rm", "--force", *built], env=env)
    run(["docker", "builder", "prune", "--all", "--force"], env=env)


def stop() -> bool:
    """Stop the engine and the index; False when neither ran."""
    stopped = processes.stop("index")
    return daemon.stop() or stopped


@contextmanager
def use(*, tidy: bool = False, keep: bool = False) -> Iterator[Machine]:
    """Set up the machine for the time of one run, or with `keep` until it is told to stop."""
    with locked("users.lock", fcntl.LOCK_SH) as users:
        machine: Machine | None = None
        try:
            machine = set_up()
            if keep:
                KEEP.touch()
            yield machine
        finally:
            if is_last(users):
                # Whoever is impatient now would leave an engine behind.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                try:
                    if tidy and machine is not None and machine.own_engine:
                        prune(machine)
                finally:
                    stop()


def is_last(users: int) -> bool:
    """Whether nobody else uses what we started."""
    if KEEP.exists():
        return False
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
