"""Notices: what a lock that was written says of itself, since whoever uses it should know."""

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
    """Something about `package` that is no reason to refuse the lock: what was found, and what to do about it."""

    kind: NoticeKind
    package: str
    text: str
    cure: str

    def __post_init__(self) -> None:
        # It quotes what others wrote, and is printed as it is.
        for name in ("text", "cure"):
            text = getattr(self, name)
            object.__setattr__(self, name, "".join(char if char.isprintable() else repr(char)[1:-1] for char in text))

    def __str__(self) -> str:
        return f"{self.package}: {self.text}; {self.cure}"
