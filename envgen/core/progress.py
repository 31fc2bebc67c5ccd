"""The progress protocol, which the command line implements."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int], None]
"""Callback: the number of bytes just received."""


class Reporter(Protocol):
    """Receives progress, and decides what to show of it."""

    def step(self, text: str) -> None:
        """Report a step, in a line of its own."""
        ...

    def detail(self, text: str) -> None:
        """Report a line of a running program's output."""
        ...

    def transfer(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """Report a transfer of `total` bytes; call the yielded function with the bytes received."""
        ...
