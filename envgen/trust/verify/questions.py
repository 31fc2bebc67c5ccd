"""The questions of `envgen verify`, each about one or more locked things, and the time budget for a server."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from envgen.core.errors import ResolutionError
from envgen.trust.report import Status
from envgen.trust.verify.report import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedItem:
    """One thing to verify: its name in reports, the locks that contain it, and the cure for a problem with it."""

    kind: str
    name: str
    locks: tuple[str, ...] = ()
    cure: str = ""

    def entry(self, status: Status, detail: str = "", cure: str | None = None) -> Verdict:
        """A verdict on the item, with the item's own cure unless another is given."""
        return Verdict(
            kind=self.kind, name=self.name, status=status, detail=detail, cure=self.cure if cure is None else cure, locks=self.locks
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A single query: `ask` returns at least one entry for each of `items`.

    It raises ResolutionError if there is no usable answer, which leaves all of them unchecked.
    """

    items: tuple[VerifiedItem, ...]
    ask: Callable[[], Iterable[Verdict]]

    def entries(self) -> tuple[Verdict, ...]:
        """The verdicts on the items."""
        try:
            return tuple(self.ask())
        except ResolutionError as error:
            return tuple(item.entry(Status.NOT_CHECKED, str(error), error.hint) for item in self.items)


class TimeBudget:
    """Tracks time wasted on one server; once the budget is spent, it is not asked again."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last: ResolutionError | None = None

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to `question`. Raises ResolutionError, as it does."""
        if self._last and self._left <= 0:
            raise self._last
        began = time.monotonic()
        try:
            return question()
        except ResolutionError as error:
            self._last = error
            self._left -= time.monotonic() - began
            raise
