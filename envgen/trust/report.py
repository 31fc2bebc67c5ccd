"""What the reports of audit, verify and reproduce have in common: statuses, and a protocol."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """The result for one thing that was examined. A thing that could not be examined is never a pass."""

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
    """The server did not answer, or refused access."""
    NOT_PUBLISHED = "not published"
    """The server answered, but does not publish this at all: asking again tomorrow makes no difference."""


class Report(Protocol):
    """The protocol of every report, including a smoke test's."""

    __slots__ = ()

    def headline(self) -> str:
        """The first line: what was not examined comes before the findings."""

    def verdict(self) -> str:
        """The result in a word or two."""

    def as_json(self) -> Mapping[str, object]:
        """The whole report, with headline and verdict first."""


class ImageReport(Report, Protocol):
    """The report of one image: its profile and target, its name and digest, and the base in its labels."""

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
