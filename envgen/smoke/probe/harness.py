"""Runs the checks of one phase in order, and reports each as JSON lines.

The report goes to the probe's original standard output. Everything else that Python or a C library prints goes to standard
error, so that no library can disturb the report.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

Job = Mapping[str, object]
Check = Callable[[Job], str]
Checks = tuple[tuple[str, Check], ...]


class Failed(Exception):  # noqa: N818  (an outcome, not a mistake)
    """The image did not do what the check expects; the text says what was expected and what was seen."""


class NotRun(Exception):  # noqa: N818  (an outcome, not a mistake)
    """The check does not apply here; the text says why. It is never a pass."""


def take_stdout() -> TextIO:
    """Return the original standard output, and point fd 1 and sys.stdout at standard error.

    The duplicate is not inherited by child processes.
    """
    sys.stdout.flush()
    report = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return report


def run(phase: str, checks: Checks, job: Job, report: TextIO) -> None:
    """Run every check, even after a failure, and end the report with the name of the phase."""
    _emit(report, {"plan": [name for name, _ in checks]})
    for name, check in checks:
        _emit(report, {"start": name})
        _emit(report, {"check": name, **_outcome(check, job)})
    _emit(report, {"end": phase})


def text(job: Job, key: str) -> str:
    """Return the string at `key`; raise Failed if the job has none."""
    value = job.get(key)
    if not isinstance(value, str):
        raise Failed(f"unexpected type {type(value).__name__} (expected str) in the job at '{key}'")
    return value


def optional_text(job: Job, key: str) -> str | None:
    """Return the string at `key`, or None if it is absent or null; raise Failed for any other type."""
    return None if job.get(key) is None else text(job, key)


def first_few(names: Sequence[str]) -> str:
    """Return the first few of `names`, for one line of detail."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _outcome(check: Check, job: Job) -> dict[str, object]:
    """Run one check; seconds are wall clock, peak_memory is bytes of resident memory (see _peak_memory)."""
    _reset_peak_memory()
    started = time.perf_counter()
    status, error = "passed", ""
    try:
        detail = check(job)
    except NotRun as reason:
        status, detail = "not run", str(reason)
    except (Exception, SystemExit) as failure:
        status, detail, error = "failed", _one_line(failure), traceback.format_exc()
    return {
        "status": status,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_memory": _peak_memory(),
        "detail": detail,
        "error": error,
    }


def _one_line(failure: BaseException) -> str:
    """Return an exception in one line: our own text unchanged, of others the type and the first line."""
    words = str(failure).strip()
    if isinstance(failure, Failed):
        return words
    first = words.splitlines()[0] if words else ""
    return f"{type(failure).__name__}: {first}" if first else type(failure).__name__


def _reset_peak_memory() -> None:
    """Reset the kernel's peak counter; if it refuses, the peak is that of the process so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory() -> int:
    """Return the peak resident memory in bytes, 0 if unknown."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _emit(report: TextIO, record: Mapping[str, object]) -> None:
    """Write one JSON line at once, so that the last line before a crash names the check that crashed."""
    report.write(json.dumps(record) + "\n")
    report.flush()
