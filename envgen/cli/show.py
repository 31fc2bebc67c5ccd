"""Words on the screen: progress, tables and sizes. Live with rich on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from envgen.lock import Package
from envgen.smoke.report import FAILED, NOT_RUN, PASSED, SmokeReport

if TYPE_CHECKING:  # these bring what `envgen lock --check` does not need
    from envgen.image.build import Built
    from envgen.image.estimate import BuildEstimate
    from envgen.image.publish import Published
    from envgen.lock.why import HeldBack

MARKS = {PASSED: "ok", FAILED: "FAILED", NOT_RUN: "not run"}


def size(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit != "MB" else f"{count:.0f} MB"
        count /= 1000
    return f"{count:.1f} GB"


def estimate(wanted: "BuildEstimate") -> str:
    """What a build will take, in one line."""
    download = f"{size(wanted.download)} to download" if wanted.download else "nothing to download"
    disk, time = f"about {size(wanted.disk)} of the engine's disk", f"at most about {wanted.seconds} s on two cores plus download"
    return f"will take: {download}, {disk}, {time}"


def push(built: "Built") -> Iterator[str]:
    """The size of each layer group, and what a push would send to a registry with the image that had the tag before."""
    total, sent = (sum(getattr(group, key) for group in built.groups) for key in ("size", "push"))
    for group in built.groups:
        yield f"layers: {group.name:<14} {size(group.size):>8}{'' if group.push else '  as before'}"
    if built.replaced:
        yield f"push: {size(sent)} of {size(total)}; the rest is in the image that had this tag before ({built.replaced[:19]})"
    else:
        yield f"push: all {size(total)}, less what the registry has from other images; this tag is new here"


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Gives a function that says how many seconds have passed."""
    started = time.monotonic()
    yield lambda: time.monotonic() - started


class PlainReporter:
    """One line for each step, on standard error; details are left out."""

    def __enter__(self) -> "PlainReporter":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        pass

    def step(self, text: str) -> None:
        # In one piece: threads speak at the same time, and print writes the end of the line on its own.
        print(f"{text}\n", end="", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        pass

    @contextmanager
    def transfer(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        self.step(f"{what}, {size(total)}")
        yield lambda _count: None


class QuietReporter(PlainReporter):
    """Says nothing: the result is JSON."""

    def step(self, text: str) -> None:
        pass


class LiveReporter(PlainReporter):
    """Steps stay on the screen; the current detail or transfer is a line below them that changes."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._status: Any = None

    def __enter__(self) -> "LiveReporter":
        self._status = self._console.status("")
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._status.stop()

    def step(self, text: str) -> None:
        self._status.stop()
        self._console.print(text, markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        from rich.text import Text

        self._status.update(Text(text[: self._console.width - 4], style="dim"))
        self._status.start()

    @contextmanager
    def transfer(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._status.stop()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)


def make_reporter(*, quiet: bool) -> PlainReporter:
    """The reporter that fits where standard error goes."""
    if quiet:
        return QuietReporter()
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()


def lock_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """A line for each lock."""
    for row in rows:
        print(f"{row['profile']:<12} {row['target']:<22} {row['status']}")


def report(found: SmokeReport) -> None:
    """The smoke table; its first line says what did not run."""
    print(f"smoke {found.profile} {found.target}: {found.headline()}")
    print(f"image {found.image} {found.digest}")
    model = f"{found.model} ({found.model_digest})" if found.model_digest else found.model
    print(f"base  {found.base}, Python {found.python}{' (NOT the locked base)' if found.overridden else ''}; model {model}")
    print()
    width = max((len(result.name) for result in found.results), default=0)
    for result in found.results:
        memory = f"{result.peak_memory / 1e6:6.0f} MB" if result.peak_memory else "        -"
        line = f"  {result.tier:<7}{result.name:<{width}}  {MARKS[result.status]:<8}{result.seconds:6.1f} s {memory}  "
        first, *more = result.detail.splitlines() or [""]
        print((line + first).rstrip())
        for text in (*more, *(f"{key}: {value}" for key, value in (("cause", result.cause), ("cure", result.cure)) if value)):
            print(" " * len(line) + text)
    print()
    print(f"smoke {found.profile}: {found.verdict()} ({found.headline()})")


def published(found: "Published") -> None:
    """What was pushed: each tag with its digest, and the platforms of the tag for all of them."""
    for tag in found.tags:
        sent = f"{len(tag.sent)} layer{'' if len(tag.sent) == 1 else 's'} sent" if tag.sent else "no layer had to be sent"
        print(f"pushed {tag.reference}: {tag.digest} ({sent})")
    absent = f"; NOT in it, since no image of their lock is there: {', '.join(found.absent)}" if found.absent else ""
    print(f"pushed {found.index}: {', '.join(found.platforms)}{absent}")


def why(package: Package, held: "Sequence[HeldBack] | None", reason: str) -> None:
    """Who asked for a package, which documented bounds hold it, and what holds back newer versions."""
    wheel = package.wheel
    uploaded = f"uploaded {wheel.uploaded:%Y-%m-%d}" if wheel.uploaded else "upload time not published"
    print(f"{wheel.name} {wheel.version} (from index {wheel.index}, {uploaded}, layer {package.layer})")
    print("\nasked for by")
    for demand in package.demands:
        print(f"  {demand.name:<20} {'any version' if demand.requirement == '*' else demand.requirement}")
    print("\nheld by the documented bounds" if package.bounds else "\nno documented bound holds it")
    for bound in package.bounds:
        print(f"  {bound.requirement:<20} {bound.source} (set {bound.set_name})")
    if held is None:
        print(f"\nnewer versions: NOT ASKED: {reason}")
        return
    print("\nnewer versions" if held else "\nnewer versions: the index has none")
    for entry in held:
        span = entry.first if entry.first == entry.last else f"{entry.first} to {entry.last}"
        print(f"  {span:<20} {entry.reason}")
