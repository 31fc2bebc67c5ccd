"""Answers that are found once: those who ask the same at the same time wait for the first."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Answers by what was asked; safe to use from several threads, and other questions do not wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, Any] = {}

    def get(self, key: Hashable, find: Callable[[], T]) -> T:
        """What `find` gives; what it raises is for this caller alone, and the next one asks again."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                self._answers[key] = find()
        answer: T = self._answers[key]
        return answer
