"""Text that is safe to show, and numbers as people read them."""

import json
from collections.abc import Callable, Sequence
from typing import Any


def printable(text: str, instead: str | None = None) -> str:
    """`text` with nothing in it that a terminal would obey: such characters are escaped as Python escapes them, or are `instead`.

    What is shown may come from anybody: an index, an archive, a lock.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] if instead is None else instead for char in text)


def printable_lines(text: str) -> list[str]:
    """The lines of `text`, each printable, and none a command to the CI that shows it; tabs are spaces."""
    return [_no_command(printable(line)) for line in text.expandtabs().split("\n")]


def _no_command(line: str) -> str:
    """`line` with nothing in it that GitHub's runner obeys: `::error::…` at its beginning, behind blanks too, and `##[error]…` anywhere."""
    blanks = len(line) - len(line.lstrip())
    if line.startswith("::", blanks):
        line = f"{line[:blanks]}\\x3a{line[blanks + 1 :]}"
    return line.replace("##[", "##\\x5b")


def json_text(value: object, *, indent: int | None = 2, ascii_only: bool = True, default: Callable[[Any], object] | None = None) -> str:
    """`value` as JSON in which nothing steers a terminal or a CI; `default` is what json.dumps has of that name."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=default)
    # Only strings have such characters in them, where any may be written by its number.
    escaped = "".join(char if char.isprintable() or char == "\n" else _json_escape(char) for char in text)
    return escaped.replace("##[", "##\\u005b")


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def one_line(text: str) -> str:
    """`text` as one line of prose: what a terminal would obey is a space, and no two spaces follow each other."""
    return " ".join(printable(text, " ").split())


def human_size(count: float, least: str = "B") -> str:
    """A number of bytes in decimal units, as in `512 kB` or `1.4 GB`; none smaller than `least`."""
    units = ("B", "kB", "MB", "GB")
    for position, unit in enumerate(units[:-1]):
        if count < 1000 and position >= units.index(least):
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def pluralize(number: int, one: str, many: str = "") -> str:
    """`number` with its noun, as in `1 lock` or `2 locks`; `many` is for what takes more than an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def first_few(names: Sequence[str], limit: int) -> str:
    """The first `limit` of `names`, and how many there are besides."""
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
