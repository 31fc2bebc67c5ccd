"""`envgen diff` as Markdown for a comment on a pull request: escaped, since a lock may come from anybody, and never too long."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envgen.cli.trust.diff_words import (
    SAID,
    by_places,
    headline,
    image_push,
    inside,
    lock_of,
    moved,
    no_reasons,
    push,
    reason,
    shown_layers,
    title,
    versions,
)
from envgen.core.text import human_size, printable
from envgen.trust.diff import ImageComparison, LockComparison
from envgen.trust.diff.model import ChangeKind, PackageChange, Places, where

LONGEST = 65_536
"""Characters of a comment on GitHub."""

FOLDED = 8
"""Rows of a table that are shown at once; a longer one has to be opened."""

LONGEST_CELL = 2_000
_RESERVE = 400
"""Characters kept for saying what was cut."""

_SPECIAL = re.compile(r"[\\`*\[\]<#|~&@$]|^>|(?<!\w)_|_(?!\w)|:(?=//|\w+:)")
"""What GitHub makes something of, in words or in a table: markup, mentions, numbers of issues, mathematics, links, emoji."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A table under a title, which can be cut between rows; all of it is escaped. A folded one has to be opened."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False

    def opening(self) -> str:
        head = f"<details><summary>{self.title}</summary>\n\n" if self.folded else f"**{self.title}**\n\n"
        return head + _row(self.columns) + _row(["---"] * len(self.columns))

    def closing(self) -> str:
        return "\n</details>\n\n" if self.folded else "\n"


def document(found: LockComparison | ImageComparison, command: str) -> str:
    """The comment; `command` is what tells all of it where it was cut."""
    head = f"### envgen: {escaped(headline(found))}\n\n"
    if not found.different:
        return head.rstrip()
    if isinstance(found, ImageComparison):
        return _fitted(head + _image_names(found), _image_blocks(found), f"{escaped(image_push(found))}\n", command)
    names = f"{escaped(found.before)} &rarr; {escaped(found.after)}\n\n"
    return _fitted(head + names, _lock_blocks(found), f"{escaped(push(found))}\n" if found.layers else "", command)


def _lock_blocks(found: LockComparison) -> Iterator[Block]:
    everywhere = found.compared
    whole = [("added", lock) for lock in found.added] + [("removed", lock) for lock in found.removed]
    locks = [(what, where(lock.places, ()), str(lock.wheels), human_size(lock.bytes)) for what, lock in whole]
    yield _block("locks", ("", "lock", "wheels", "bytes"), locks)
    facts = [(entry.fact.name, entry.fact.before, entry.fact.after, where(entry.places, everywhere)) for entry in found.facts]
    yield _block("facts", ("fact", "before", "after", "in"), facts)
    for places, changes in by_places(found.packages):
        rows = [_package(change, everywhere) for change in changes]
        folded = changes[0].change.kind == ChangeKind.EVIDENCE
        yield _block(title(places, changes, everywhere), ("package", "", "version", "why"), rows, folded=folded)
    layers = [(entry.layer, where(entry.places, everywhere)) for entry in shown_layers(found)]
    sizes = [(layer.name, moved(layer.before, layer.after) if layer.changed else "as before", place) for layer, place in layers]
    yield _block("layer groups, in bytes of their wheels", ("group", "size", "in"), sizes)


def _package(change: PackageChange, everywhere: Places) -> tuple[str, ...]:
    reasons = "\n".join(reason(found, change, everywhere) for found in change.reasons)
    return change.change.name, SAID[change.change.kind], versions(change), reasons


def _image_names(found: ImageComparison) -> str:
    lines = (f"{image.label}, {human_size(image.size)} compressed; {lock_of(image)}" for image in (found.before, found.after))
    return " &rarr;<br>".join(escaped(line) for line in lines) + "\n\n"


def _image_blocks(found: ImageComparison) -> Iterator[Block]:
    yield _block("labels", ("label", "before", "after"), [(fact.name, fact.before, fact.after) for fact in found.labels])
    note = f" ({no_reasons(found)})" if no_reasons(found) else ""
    yield _block(f"packages{note}", ("package", "", "version", "why"), [_package(change, ()) for change in found.packages])
    rows = [(layer.side, layer.digest[:19], human_size(layer.size), inside(layer)) for layer in found.layers]
    yield _block("layers", ("in", "blob", "compressed", "holds"), rows)


def _block(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, folded: bool = False) -> Block:
    cells = tuple(tuple(escaped(cell) for cell in row) for row in rows)
    return Block(title=escaped(title), columns=columns, rows=cells, folded=folded or len(rows) > FOLDED)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def escaped(text: str) -> str:
    """`text` as words and nothing else; the ends of its lines become breaks."""
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]}… ({len(text) - LONGEST_CELL} characters more)"
    lines = (printable(line, " ") for line in text.split("\n"))
    return "<br>".join(_SPECIAL.sub(lambda match: f"&#{ord(match[0])};", line) for line in lines)


def _fitted(head: str, blocks: Iterator[Block], tail: str, command: str) -> str:
    """All of it, or as many rows as fit with a line that says how many did not."""
    parts, cut_rows, cut_characters = [head], 0, 0
    left = LONGEST - _RESERVE - len(command) * 8 - len(head) - len(tail)
    for block in blocks:
        frame = block.opening(), block.closing()
        body = ""
        room = left - sum(map(len, frame))
        for row in map(_row, block.rows):
            if cut_rows or len(body) + len(row) > room:
                cut_rows, cut_characters = cut_rows + 1, cut_characters + len(row)
            else:
                body += row
        if body:
            parts.append(frame[0] + body + frame[1])
            left -= len(parts[-1])
    parts.append(tail)
    if cut_rows:
        parts.append(
            f"\n**Cut here**: {cut_rows} rows of tables ({cut_characters:,} characters) do not fit. All of it: {escaped(command)}\n"
        )
    return "".join(parts).rstrip()
