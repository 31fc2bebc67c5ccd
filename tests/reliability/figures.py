"""Figures of the campaigns: how many cases each ran, from which seed, and what came of them.

`ENVGEN_CAMPAIGN=full` runs all cases and writes RESULTS.md; without it, a sample runs. `ENVGEN_CAMPAIGN_SEED` is another seed.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

FULL = os.environ.get("ENVGEN_CAMPAIGN") == "full"
SEED = int(os.environ.get("ENVGEN_CAMPAIGN_SEED", "20260922"))
RESULTS = Path(__file__).parent / "RESULTS.md"
SHOWN = 10
"""Failed cases that a message lists."""

_COLUMNS = ("campaign", "cases", "detected", "proven harmless", "failed", "seconds", "seed")
_HEAD = """\
# Reliability: the figures

Written by `python3 tests/machine reliability`, which runs every campaign in full; CI runs a sample of each. *Detected*: refused with a
message and an exit code, nothing half-written. *Proven harmless*: the result is the same, byte for byte; for bad input and injection,
it was valid and was taken as what it is. *Failed*: anything else.
A failed case prints its seed and the exact change; `ENVGEN_CAMPAIGN_SEED` repeats it.
"""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """One campaign as it runs: `cases` are to be tried, each with what `random` gives, and each ends in one of three ways."""

    name: str
    cases: int
    random: Random
    found: int = 0
    harmless_ones: int = 0
    failures: list[str] = field(default_factory=list)

    def detected(self) -> None:
        """The case was refused as it should be."""
        self.found += 1

    def harmless(self) -> None:
        """The case changed nothing in the result."""
        self.harmless_ones += 1

    def failed(self, change: str) -> None:
        """The case went wrong; `change` is all that is needed to repeat it."""
        self.failures.append(change)

    @property
    def ran(self) -> int:
        return self.found + self.harmless_ones + len(self.failures)


@contextmanager
def campaign(name: str, *, sample: int, full: int) -> Iterator[Campaign]:
    """Counts the cases of a campaign, prints its row, keeps it in RESULTS.md if all ran, and fails if one did."""
    running = Campaign(name=name, cases=full if FULL else sample, random=Random(f"{SEED} {name}"))
    began = time.monotonic()
    yield running
    counts = (running.ran, running.found, running.harmless_ones, len(running.failures))
    row = (name, *map(str, counts), f"{time.monotonic() - began:.0f}", str(SEED))
    print("", *(f"{column}: {value}" for column, value in zip(_COLUMNS, row, strict=True)), sep="\n  ")
    assert not running.failures, "\n".join([f"{name}, seed {SEED}: {len(running.failures)} failed", *running.failures[:SHOWN]])
    assert running.ran >= running.cases, f"{name}: {running.ran} cases ran, expected {running.cases}"
    if FULL:
        _keep(row)


def _keep(row: tuple[str, ...]) -> None:
    """Puts a row into RESULTS.md in place of the campaign's older one."""
    lines = RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ")}
    rows.pop(_COLUMNS[0], None)
    rows[row[0]] = _line(row)
    rule = "|---|" + "---:|" * (len(_COLUMNS) - 1)
    about = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores."
    table = [_line(_COLUMNS), rule, *(rows[name] for name in sorted(rows))]
    RESULTS.write_text("\n".join([_HEAD, about, "", *table]) + "\n", "utf-8")


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
