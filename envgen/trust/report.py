"""What the reports of audit, verify and reproduce have in common: the words for what became of a thing, and the shape."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """What became of one thing that was looked at. What could not be looked at is never a pass."""

    # audit: a part of an image
    PASSED = "passed"
    FAILED = "failed"
    NOT_COMPARED = "not compared"

    # verify: what is locked
    OK = "ok"
    GONE = "gone"
    CHANGED = "changed"
    YANKED = "yanked"
    VULNERABLE = "vulnerable"
    TAG_MOVED = "tag moved"
    TAG_DELETED = "tag deleted"
    NOT_CHECKED = "not checked"
    """It could not be asked: whoever knows gave no answer, or refused."""
    NOT_PUBLISHED = "not published"
    """It was asked, and whoever was asked publishes no such thing: asking again tomorrow makes no difference."""


class Report(Protocol):
    """What every report has, that of a smoke test too."""

    __slots__ = ()

    def headline(self) -> str:
        """Its first line: what was not looked at comes before what was found."""

    def verdict(self) -> str:
        """All of it in a word or two."""

    def as_json(self) -> Mapping[str, object]:
        """All of it, with headline and verdict first."""


class ImageReport(Report, Protocol):
    """The report of one image: whose it is, what was looked at, and the base it says it was built on."""

    @property
    def profile(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def overridden(self) -> bool:
        """Whether that base is not the locked one."""
