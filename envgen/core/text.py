"""Text that is safe for a terminal, and human-readable numbers."""

import json
from collections.abc import Callable, Sequence
from typing import Any


def printable(text: str, instead: str | None = None) -> str:
    """Escape control characters as Python does, or replace each with `instead`.

    Text to be shown may be untrusted: from an index, an archive, a lock.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] if instead is None else instead for char in text)


def printable_lines(text: str) -> list[str]:
    """Split `text` into printable lines without CI commands, with tabs expanded."""
    return [_no_command(printable(line)) for line in text.expandtabs().split("\n")]


def _no_command(line: str) -> str:
    """Escape commands to GitHub's runner: `::error::…` at the beginning, after blanks too, and `##[error]…` anywhere."""
    blanks = len(line) - len(line.lstrip())
    if line.startswith("::", blanks):
        line = f"{line[:blanks]}\\x3a{line[blanks + 1 :]}"
    return line.replace("##[", "##\\x5b")


def json_text(value: object, *, indent: int | None = 2, ascii_only: bool = True, default: Callable[[Any], object] | None = None) -> str:
    """Format `value` as JSON without terminal control characters or CI commands; `default` is as in json.dumps."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=default)
    # Only strings contain such characters, and there they can be escaped.
    escaped = "".join(char if char.isprintable() or char == "\n" else _json_escape(char) for char in text)
    return escaped.replace("##[", "##\\u005b")


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def one_line(text: str) -> str:
    """Collapse `text` into one printable line with single spaces."""
    return " ".join(printable(text, " ").split())


def human_size(count: float, least: str = "B") -> str:
    """Format a number of bytes in decimal units, as in `512 kB` or `1.4 GB`; `least` is the smallest unit."""
    units = ("B", "kB", "MB", "GB")
    for position, unit in enumerate(units[:-1]):
        if count < 1000 and position >= units.index(least):
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def pluralize(number: int, one: str, many: str = "") -> str:
    """Format `number` with its noun, as in `1 lock` or `2 locks`; `many` is an irregular plural."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def first_few(names: Sequence[str], limit: int) -> str:
    """List the first `limit` of `names`, and how many more there are."""
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
