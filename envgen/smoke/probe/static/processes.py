"""Spreads a check of many files over all CPUs.

Uses fork and pipes instead of multiprocessing, whose semaphores need /dev/shm, and whose pool waits for ever if one of its
processes is killed, as the kernel does for lack of memory.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import harness

Task = TypeVar("Task", bound="tuple[Any, ...]")


@dataclass(frozen=True)
class _Worker:
    """A child process; `position` is shared memory with the index of its current task."""

    pid: int
    results: int
    position: mmap.mmap


def run(check: Callable[[Task], str | None], tasks: Sequence[Task]) -> list[str]:
    """Call `check` for every task, whose first item is a path, and return its results except None, sorted.

    Raise harness.Failed with the path if a process does not finish.
    """
    ordered = sorted(tasks, key=lambda task: (-_size(task[0]), task))
    count = len(os.sched_getaffinity(0))
    shares = [share for share in (ordered[start::count] for start in range(count)) if share]
    workers = [_start(check, share) for share in shares]
    found: list[str] = []
    unfinished: list[str] = []
    for worker, share in zip(workers, shares, strict=True):
        with os.fdopen(worker.results, encoding="ascii") as results:
            found += [json.loads(line) for line in results]
        code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        if code:
            path = share[int.from_bytes(worker.position[:8], "little")][0]
            unfinished.append(f"{path}: the process that checked it ended with {code}")
    if unfinished:
        raise harness.Failed("; ".join(unfinished))
    return sorted(found)


def _start(check: Callable[[Task], str | None], tasks: Sequence[Task]) -> _Worker:
    """Fork a process that checks `tasks` and writes each result to a pipe."""
    readable, writable = os.pipe()
    position = mmap.mmap(-1, 8)
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writable)
        return _Worker(pid, readable, position)
    code = 1
    try:
        os.close(readable)
        # The results of compile() have no cycles, and looking for them takes a third of the time.
        gc.disable()
        with os.fdopen(writable, "w", encoding="ascii") as results:
            for index, task in enumerate(tasks):
                position[:8] = index.to_bytes(8, "little")
                result = check(task)
                if result is not None:
                    results.write(json.dumps(result) + "\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Not sys.exit: the frames above this one belong to the parent.
        os._exit(code)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
