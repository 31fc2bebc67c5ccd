"""`envgen diff` as Markdown for a pull request comment: escaped, since locks are untrusted, and never too long."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envgen.cli.trust.diff_words import (
    KIND_WORDS,
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
"""The longest comment on GitHub, in characters."""

FOLDED = 8
"""Tables with more rows than this are folded."""

LONGEST_CELL = 2_000
_RESERVE = 400
"""Characters reserved for the note on what was truncated."""

_SPECIAL = re.compile(r"[\\`*\[\]<#|~&@$]|^>|(?<!\w)_|_(?!\w)|:(?=//|\w+:)")
"""What GitHub would interpret: markup, mentions, issue numbers, mathematics, links, emoji."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A table with a title, escaped; it can be truncated between rows, and folded."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False

    def opening(self) -> str:
        head = f"<details><summary>{self.title}</summary>\n\n" if self.folded else f"**{self.title}**\n\n"
        return head + _row(self.columns) + _row(["---"] * len(self.columns))

    def closing(self) -> str:
        return "\n</details>\n\n" if self.folded else "\n"


def document(comparison: LockComparison | ImageComparison, command: str) -> str:
    """The comment; `command` prints the full comparison and is named if the comment is truncated."""
    head = f"### envgen: {escaped(headline(comparison))}\n\n"
    if not comparison.different:
        return head.rstrip()
    if isinstance(comparison, ImageComparison):
        return _fit(head + _image_names(comparison), _image_blocks(comparison), f"{escaped(image_push(comparison))}\n", command)
    names = f"{escaped(comparison.before)} &rarr; {escaped(comparison.after)}\n\n"
    return _fit(head + names, _lock_blocks(comparison), f"{escaped(push(comparison))}\n" if comparison.layers else "", command)


def _lock_blocks(comparison: LockComparison) -> Iterator[Block]:
    everywhere = comparison.compared
    whole = [("added", lock) for lock in comparison.added] + [("removed", lock) for lock in comparison.removed]
    locks = [(what, where(lock.places, ()), str(lock.wheels), human_size(lock.bytes)) for what, lock in whole]
    yield _block("locks", ("", "lock", "wheels", "bytes"), locks)
    facts = [(entry.fact.name, entry.fact.before, entry.fact.after, where(entry.places, everywhere)) for entry in comparison.facts]
    yield _block("facts", ("fact", "before", "after", "in"), facts)
    for places, changes in by_places(comparison.packages):
        rows = [_package(change, everywhere) for change in changes]
        folded = changes[0].change.kind == ChangeKind.EVIDENCE
        yield _block(title(places, changes, everywhere), ("package", "", "version", "why"), rows, folded=folded)
    layers = [(entry.layer, where(entry.places, everywhere)) for entry in shown_layers(comparison)]
    sizes = [(layer.name, moved(layer.before, layer.after) if layer.changed else "as before", place) for layer, place in layers]
    yield _block("layer groups, in bytes of their wheels", ("group", "size", "in"), sizes)


def _package(change: PackageChange, everywhere: Places) -> tuple[str, ...]:
    reasons = "\n".join(reason(entry, change, everywhere) for entry in change.reasons)
    return change.change.name, KIND_WORDS[change.change.kind], versions(change), reasons


def _image_names(comparison: ImageComparison) -> str:
    lines = (f"{image.label}, {human_size(image.size)} compressed; {lock_of(image)}" for image in (comparison.before, comparison.after))
    return " &rarr;<br>".join(escaped(line) for line in lines) + "\n\n"


def _image_blocks(comparison: ImageComparison) -> Iterator[Block]:
    yield _block("labels", ("label", "before", "after"), [(fact.name, fact.before, fact.after) for fact in comparison.labels])
    note = f" ({no_reasons(comparison)})" if no_reasons(comparison) else ""
    yield _block(f"packages{note}", ("package", "", "version", "why"), [_package(change, ()) for change in comparison.packages])
    rows = [(layer.side, layer.digest[:19], human_size(layer.size), inside(layer)) for layer in comparison.layers]
    yield _block("layers", ("in", "blob", "compressed", "holds"), rows)


def _block(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, folded: bool = False) -> Block:
    cells = tuple(tuple(escaped(cell) for cell in row) for row in rows)
    return Block(title=escaped(title), columns=columns, rows=cells, folded=folded or len(rows) > FOLDED)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def escaped(text: str) -> str:
    """Escape all markup in `text`; newlines become breaks."""
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]}… ({len(text) - LONGEST_CELL} more characters)"
    lines = (printable(line, " ") for line in text.split("\n"))
    return "<br>".join(_SPECIAL.sub(lambda match: f"&#{ord(match[0])};", line) for line in lines)


def _fit(head: str, blocks: Iterator[Block], tail: str, command: str) -> str:
    """Join the parts; rows that do not fit are dropped, with a note on how many."""
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
            f"\n**Truncated**: {cut_rows} table rows ({cut_characters:,} characters) do not fit. Full output: {escaped(command)}\n"
        )
    return "".join(parts).rstrip()
