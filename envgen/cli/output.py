"""Prints results on standard output and progress on standard error, with control characters escaped.

Progress is live (rich) on a terminal, and plain lines elsewhere.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from envgen.core.text import human_size, json_text, printable, printable_lines


def print_lines(lines: Iterable[str]) -> None:
    """Print the result of a command, which may quote an index, an image or a file."""
    for text in lines:
        print("\n".join(printable_lines(text)))


def print_json(value: object, *, indent: int | None = 2, ascii_only: bool = True, default: Callable[[Any], object] | None = None) -> None:
    """Prints the result of a command for a program; the options are those of `json_text`."""
    print(json_text(value, indent=indent, ascii_only=ascii_only, default=default))


class PlainReporter:
    """Prints a line for each step on standard error, and no details."""

    def __init__(self) -> None:
        self._speaking = threading.Lock()
        self._ended = False

    def __enter__(self) -> "PlainReporter":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        # Threads that an interruption leaves behind may still speak: one that holds standard error when Python ends would abort it.
        with self._speaking:
            self._ended = True

    def step(self, text: str) -> None:
        # In one write: print writes the newline separately, and other threads print too.
        lines = "\n".join(printable_lines(text))
        with self._speaking:
            if not self._ended:
                print(f"{lines}\n", end="", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        pass

    @contextmanager
    def transfer(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        self.step(f"{what}, {human_size(total)}")
        yield lambda _count: None


class QuietReporter(PlainReporter):
    """Prints nothing, for --json."""

    def step(self, text: str) -> None:
        pass


class LiveReporter(PlainReporter):
    """Prints steps, with a changing line below them for the current detail or transfer."""

    def __init__(self) -> None:
        from rich.console import Console

        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._status: Any = None

    def __enter__(self) -> "LiveReporter":
        self._status = self._console.status("")
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        super().__exit__(_kind, _error, _trace)
        self._status.stop()

    def step(self, text: str) -> None:
        with self._speaking:
            if not self._ended:
                self._status.stop()
                self._console.print("\n".join(printable_lines(text)), markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        from rich.text import Text

        with self._speaking:
            if not self._ended:
                self._status.update(Text(printable(text)[: self._console.width - 4], style="dim"))
                self._status.start()

    @contextmanager
    def transfer(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._status.stop()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(printable(what), total=total)
            yield lambda count: progress.advance(task, count)


def make_reporter(*, quiet: bool) -> PlainReporter:
    """Return the reporter for standard error: live on a terminal, else plain."""
    if quiet:
        return QuietReporter()
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()
