"""The probe: `python -I probe PHASE [JOB]` runs one phase of smoke checks inside an image.

JOB is a JSON file, /envgen/job.json unless it is given. The report is JSON lines on standard output; see harness. The
exit code is 0 when the report is complete, whatever it says, and 2 when the probe was called wrongly.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import harness

PHASES = {
    "static-files": "static/files",
    "static-imports": "static/packages",
    "byte-code": "static/bytecode",
    "cpu": "model/cpu",
    "quant": "model/quantized",
    "gpu": "model/gpu",
    "convert": "model/convert",
}
"""The module of each phase. Modules know each other by their names alone, whichever folder they are in."""

USAGE = f"usage: python -I probe {{{','.join(PHASES)}}} [JOB]"


def main(arguments: Sequence[str]) -> int:
    """Run the phase that `arguments` name; return the exit code."""
    if len(arguments) not in (1, 2) or arguments[0] not in PHASES:
        print(USAGE, file=sys.stderr)
        return 2
    phase, job_file = arguments[0], Path(arguments[1] if len(arguments) == 2 else "/envgen/job.json")
    report = harness.take_stdout()
    job: harness.Job = {}
    try:
        job = _read(job_file)
        checks = _checks(phase, job)
    except Exception as failure:
        # A phase that can't begin is reported as one failed check, so that the report is the only channel.
        checks = ((phase, _raise(failure)),)
    harness.run(phase, checks, job, report)
    return 0


def _read(job_file: Path) -> harness.Job:
    """Return the job; raise harness.Failed if the file is not a JSON object."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    if not isinstance(job, dict):
        raise harness.Failed(f"unexpected type {type(job).__name__} (expected object) in {job_file}")
    return job


def _checks(phase: str, job: harness.Job) -> harness.Checks:
    """Return the checks of a phase: its module's CHECKS, or the result of its function `checks`."""
    here = Path(__file__).parent
    folder, _, name = PHASES[phase].partition("/")
    sys.path.insert(0, str(here / folder))
    module = importlib.import_module(name)
    # Our short module names must never answer an import of an installed package.
    sys.path[:] = [entry for entry in sys.path if entry not in (str(here), str(here / folder))]
    checks: harness.Checks = module.checks(job) if hasattr(module, "checks") else module.CHECKS
    return checks


def _raise(failure: Exception) -> harness.Check:
    """Return a check that fails as `failure` did."""

    def check(_job: harness.Job) -> str:
        raise failure

    return check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
