"""How progress leaves the inner modules: a small protocol that the command line implements."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int], None]
"""Called with each number of bytes that has arrived."""


class Reporter(Protocol):
    """Told what is being done; it decides what, if anything, is shown."""

    def step(self, text: str) -> None:
        """Something that is worth a line of its own."""
        ...

    def detail(self, text: str) -> None:
        """A line of a running program's output: of interest while it runs, or when it fails."""
        ...

    def transfer(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A transfer of `total` bytes; the function is told of each number of bytes that has arrived."""
        ...
