"""What both benchmarks share: sides that take turns, medians, and a table in RESULTS.md."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("RESULTS.md")
ENVGEN = [sys.executable, "-m", "envgen"]

Side = Callable[[], float]
"""Does one side's work once and says how many seconds it took; what it does before and after is not in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: the medians in seconds, and the goal for their ratio (or, without `theirs`, for `ours`)."""

    what: str
    ours: float
    goal: float
    theirs: float | None = None


def environment(scratch: Path) -> dict[str, str]:
    """The environment of every side: ours, with byte code kept as after an ordinary installation."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"), "PYTHONPATH": str(ROOT)}


def timed(*commands: Sequence[str | Path], env: Mapping[str, str], cwd: Path = ROOT) -> float:
    """The seconds until all `commands`, begun at the same time, have ended. Ends the benchmark when one fails."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        running = [subprocess.Popen(command, env=env, cwd=cwd, stdout=output, stderr=output) for command in commands]
        try:
            codes = [process.wait() for process in running]
        finally:
            for process in running:
                process.terminate()
        took = time.perf_counter() - begun
        if any(codes):
            output.seek(0)
            said = output.read().decode(errors="replace")[-2000:]
            sys.exit(f"error: {' '.join(map(str, commands[0]))}: exit codes {codes}\n{said}")
    return took


def medians(sides: Mapping[str, Side], runs: int) -> dict[str, float]:
    """The median of `runs` runs of each side. They take turns, so that whatever else the machine does is shared."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(runs):
        for name in [*sides] if turn % 2 == 0 else reversed([*sides]):
            found[name].append(sides[name]())
            print(f"  {name:<28} {found[name][-1]:8.3f} s", flush=True)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def load() -> str:
    """How busy the machine was: above the number of its cores, something else ran as well and the figures are rough."""
    return f"load average {os.getloadavg()[1]:.1f} at the end"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="envgen-benchmark-") as folder:
        yield Path(folder)


def table(rows: Sequence[Row], theirs: str) -> str:
    """The rows in Markdown; a goal that was missed says so."""
    lines = [f"| | envgen | {theirs} | ratio | goal | |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        reached = row.ours / row.theirs if row.theirs else row.ours
        verdict = "met" if reached <= row.goal else "**missed**"
        if row.theirs:
            lines.append(f"| {row.what} | {_seconds(row.ours)} | {_seconds(row.theirs)} | {reached:.2f} | {row.goal} | {verdict} |")
        else:
            lines.append(f"| {row.what} | {_seconds(row.ours)} | | | {row.goal} s | {verdict} |")
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def write_section(name: str, text: str) -> None:
    """Replaces the section `name` of RESULTS.md, which is written by these programs alone."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Benchmarks\n\nWritten by the programs beside this file.\n"
    section = f"## {name}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    known = bool(pattern.search(before))
    after = pattern.sub(lambda _found: section + "\n", before) if known else f"{before.rstrip()}\n\n{section}"
    RESULTS.write_text(after.rstrip() + "\n", encoding="utf-8")
    print(section)
