"""Parallel work that Ctrl-C ends at once, even while waiting for a network.

The threads are daemons: Python waits at exit for those of concurrent.futures, even for one that hangs.
"""

import signal
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from envgen.core import process

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE = 1.0
"""Seconds for the threads to clean up after an interruption."""


def map_parallel(function: Callable[[Item], Result], items: Sequence[Item], *, at_once: int) -> list[Result]:
    """Apply `function` to each of `items`, `at_once` at a time, and return the results in order.

    After an error no further items are started, running ones are awaited, and the first error in the order of `items` is raised.
    An interruption stops running programs and waits for no network.
    """
    crew = _Crew(function, items)
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(min(at_once, len(items)))]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            crew.ended.get()
    except BaseException:
        crew.stopped.set()
        process.stop_all()
        for thread in threads:
            if thread.is_alive():  # some may not have been started
                thread.join(GRACE / len(threads))
        raise
    if crew.errors:
        raise crew.errors[min(crew.errors)]
    return [crew.results[position] for position in range(len(items))]


class _Crew(Generic[Item, Result]):
    """State shared by the threads of one call; `results` and `errors` are keyed by the item's position."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.results: dict[int, Result] = {}
        self.errors: dict[int, BaseException] = {}
        self.ended: SimpleQueue[None] = SimpleQueue()
        self.stopped = threading.Event()
        self._function = function
        self._waiting: SimpleQueue[tuple[int, Item]] = SimpleQueue()
        for pair in enumerate(items):
            self._waiting.put(pair)

    def work(self) -> None:
        """Process items until none is left or one fails."""
        while not self.stopped.is_set():
            try:
                position, item = self._waiting.get_nowait()
            except Empty:
                break
            try:
                self.results[position] = self._function(item)
            except BaseException as error:  # re-raised in the calling thread
                self.errors[position] = error
                self.stopped.set()
        self.ended.put(None)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP until the end of the block, which must be short.

    A signal mask is not enough: another thread would receive the signal, and Python would still interrupt the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python interrupts only the main thread
        return
    received: list[int] = []
    numbers = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.signal(number, lambda signum, _frame: received.append(signum)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if received:
            signal.raise_signal(received[0])


class Memo:
    """A thread-safe cache of computed values; callers with other keys do not wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, Any] = {}

    def get(self, key: Hashable, find: Callable[[], Result]) -> Result:
        """Return the value of `key`, computed with `find` if missing; an error it raises is not cached."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                self._answers[key] = find()
        answer: Result = self._answers[key]
        return answer
