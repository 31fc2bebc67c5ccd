"""`envgen diff` as text, wrapped to 80 columns."""

import textwrap
from collections.abc import Iterator

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
from envgen.trust.diff.model import FactChange, PackageChange, Places, where

WIDTH = 80


def lines(comparison: LockComparison | ImageComparison) -> Iterator[str]:
    """What changed; a single line if nothing did."""
    yield from _wrapped(headline(comparison))
    if comparison.different:
        yield from _images(comparison) if isinstance(comparison, ImageComparison) else _locks(comparison)


def _locks(comparison: LockComparison) -> Iterator[str]:
    yield from _wrapped(f"before: {comparison.before}", 8)
    yield from _wrapped(f"after:  {comparison.after}", 8)
    for locks, what in ((comparison.added, "added"), (comparison.removed, "removed")):
        for lock in locks:
            yield from _wrapped(f"lock {what}: {where(lock.places, ())} ({lock.wheels} wheels, {human_size(lock.bytes)})", 4)
    if comparison.facts:
        yield "\nfacts"
        for entry in comparison.facts:
            yield from _fact(entry, comparison.compared)
    for places, changes in by_places(comparison.packages):
        yield ""
        yield from _wrapped(title(places, changes, comparison.compared), 4)
        for change in changes:
            yield from _package(change, comparison.compared)
    if comparison.layers:
        yield from _layers(comparison)


def _fact(entry: FactChange, everywhere: Places) -> Iterator[str]:
    fact = entry.fact
    yield from _wrapped(f"  {fact.name}: {fact.before} -> {fact.after}", 6)
    if entry.places != everywhere:
        yield from _wrapped(f"      in {where(entry.places, everywhere)}", 6)


def _package(change: PackageChange, everywhere: Places) -> Iterator[str]:
    yield from _wrapped(f"  {change.change.name} {versions(change)} ({KIND_WORDS[change.change.kind]})", 6)
    for entry in change.reasons:
        yield from _wrapped(f"      {reason(entry, change, everywhere)}", 8)


def _layers(comparison: LockComparison) -> Iterator[str]:
    shown = shown_layers(comparison)
    if shown:
        yield "\nlayer groups, in bytes of their wheels"
    for entry in shown:
        layer = entry.layer
        state = moved(layer.before, layer.after) if layer.changed else f"{human_size(layer.after)}  as before"
        place = "" if entry.places == comparison.compared else f"  in {where(entry.places, comparison.compared)}"
        yield from _wrapped(f"  {layer.name:<16} {state}{place}", 6)
    yield ""
    yield from _wrapped(push(comparison), 2)


def _images(comparison: ImageComparison) -> Iterator[str]:
    for word, image in (("before:", comparison.before), ("after: ", comparison.after)):
        yield from _wrapped(f"{word} {image.label}, {human_size(image.size)} compressed; {lock_of(image)}", 8)
    if comparison.labels:
        yield "\nlabels"
        for fact in comparison.labels:
            yield from _wrapped(f"  {fact.name}: {fact.before} -> {fact.after}", 6)
    if comparison.packages:
        yield "\npackages"
        for change in comparison.packages:
            yield from _package(change, ())
    if note := no_reasons(comparison):
        yield from _wrapped(f"  {note}", 2)
    yield "\nlayers"
    for layer in comparison.layers:
        yield from _wrapped(f"  {layer.side:<7} {layer.digest[:19]} {human_size(layer.size):>8}  {inside(layer)}", 40)
    yield ""
    yield from _wrapped(image_push(comparison), 2)


def _wrapped(text: str, indent: int = 2) -> list[str]:
    """Wrap `text` to WIDTH, indenting all lines but the first; long words such as digests stay whole."""
    start = len(text) - len(text.lstrip(" "))
    return textwrap.wrap(
        printable(text[start:]),
        width=WIDTH,
        initial_indent=" " * start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
