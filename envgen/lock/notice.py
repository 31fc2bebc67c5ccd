"""Notices: what users of a lock should know about it."""

from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """What a notice is about."""

    FAR_BEHIND = "far-behind"
    OLD = "old"
    PRERELEASE = "prerelease"
    UNDATED = "undated"
    OTHER_TORCH = "other-torch"
    PAIR = "pair"
    EXTRA = "extra"
    NOT_COMPARED = "not-compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A finding about `package` that does not prevent locking, and what to do about it."""

    kind: NoticeKind
    package: str
    text: str
    cure: str

    def __post_init__(self) -> None:
        # The text may quote untrusted metadata, and is printed unchanged.
        for name in ("text", "cure"):
            text = getattr(self, name)
            object.__setattr__(self, name, "".join(char if char.isprintable() else repr(char)[1:-1] for char in text))

    def __str__(self) -> str:
        return f"{self.package}: {self.text}; {self.cure}"
