"""Doing things at the same time so that Ctrl-C ends them at once, however long a network keeps silent.

The threads are daemons: those of concurrent.futures are waited for when Python ends, also one that waits in vain.
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
"""Seconds that the threads have for tidying up when we are interrupted."""


def map_parallel(function: Callable[[Item], Result], items: Sequence[Item], *, at_once: int) -> list[Result]:
    """What `function` gives for each of `items`, in their order; `at_once` of them run at the same time.

    After an error the rest is not begun, what has begun is waited for, and the first error in the order of `items` is raised.
    An interruption stops the programs that were started, and waits for no network.
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
            if thread.is_alive():  # not all of them need have been started
                thread.join(GRACE / len(threads))
        raise
    if crew.errors:
        raise crew.errors[min(crew.errors)]
    return [crew.results[position] for position in range(len(items))]


class _Crew(Generic[Item, Result]):
    """What the threads of one call share; `results` and `errors` go by the position of the item."""

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
        """Takes one item after the other until none is left, or something went wrong."""
        while not self.stopped.is_set():
            try:
                position, item = self._waiting.get_nowait()
            except Empty:
                break
            try:
                self.results[position] = self._function(item)
            except BaseException as error:  # it belongs to whoever waits for the result, not to this thread
                self.errors[position] = error
                self.stopped.set()
        self.ended.put(None)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Puts off Ctrl-C and the other signals that end us until the block is done; for blocks that take no time.

    A signal mask would not do: where there are other threads one of them takes the signal, and Python interrupts us all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python interrupts the main thread alone
        return
    came: list[int] = []
    numbers = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.signal(number, lambda found, _frame: came.append(found)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


class Memo:
    """Answers by what was asked; safe to use from several threads, and other questions do not wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, Any] = {}

    def get(self, key: Hashable, find: Callable[[], Result]) -> Result:
        """What `find` gives; what it raises is for this caller alone, and the next one asks again."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                self._answers[key] = find()
        answer: Result = self._answers[key]
        return answer
