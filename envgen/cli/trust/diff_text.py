"""`envgen diff` as text, 80 columns wide where words can be broken."""

import textwrap
from collections.abc import Iterator

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
from envgen.trust.diff.model import FactChange, PackageChange, Places, where

WIDTH = 80


def lines(found: LockComparison | ImageComparison) -> Iterator[str]:
    """What changed; one line alone where nothing is different."""
    yield from _wrapped(headline(found))
    if found.different:
        yield from _images(found) if isinstance(found, ImageComparison) else _locks(found)


def _locks(found: LockComparison) -> Iterator[str]:
    yield from _wrapped(f"before: {found.before}", 8)
    yield from _wrapped(f"after:  {found.after}", 8)
    for locks, what in ((found.added, "added"), (found.removed, "removed")):
        for lock in locks:
            yield from _wrapped(f"lock {what}: {where(lock.places, ())} ({lock.wheels} wheels, {human_size(lock.bytes)})", 4)
    if found.facts:
        yield "\nfacts"
        for entry in found.facts:
            yield from _fact(entry, found.compared)
    for places, changes in by_places(found.packages):
        yield ""
        yield from _wrapped(title(places, changes, found.compared), 4)
        for change in changes:
            yield from _package(change, found.compared)
    if found.layers:
        yield from _layers(found)


def _fact(entry: FactChange, everywhere: Places) -> Iterator[str]:
    fact = entry.fact
    yield from _wrapped(f"  {fact.name}: {fact.before} -> {fact.after}", 6)
    if entry.places != everywhere:
        yield from _wrapped(f"      in {where(entry.places, everywhere)}", 6)


def _package(change: PackageChange, everywhere: Places) -> Iterator[str]:
    yield from _wrapped(f"  {change.change.name} {versions(change)} ({SAID[change.change.kind]})", 6)
    for found in change.reasons:
        yield from _wrapped(f"      {reason(found, change, everywhere)}", 8)


def _layers(found: LockComparison) -> Iterator[str]:
    shown = shown_layers(found)
    if shown:
        yield "\nlayer groups, in bytes of their wheels"
    for entry in shown:
        layer = entry.layer
        state = moved(layer.before, layer.after) if layer.changed else f"{human_size(layer.after)}  as before"
        place = "" if entry.places == found.compared else f"  in {where(entry.places, found.compared)}"
        yield from _wrapped(f"  {layer.name:<16} {state}{place}", 6)
    yield ""
    yield from _wrapped(push(found), 2)


def _images(found: ImageComparison) -> Iterator[str]:
    for word, image in (("before:", found.before), ("after: ", found.after)):
        yield from _wrapped(f"{word} {image.label}, {human_size(image.size)} compressed; {lock_of(image)}", 8)
    if found.labels:
        yield "\nlabels"
        for fact in found.labels:
            yield from _wrapped(f"  {fact.name}: {fact.before} -> {fact.after}", 6)
    if found.packages:
        yield "\npackages"
        for change in found.packages:
            yield from _package(change, ())
    if note := no_reasons(found):
        yield from _wrapped(f"  {note}", 2)
    yield "\nlayers"
    for layer in found.layers:
        yield from _wrapped(f"  {layer.side:<7} {layer.digest[:19]} {human_size(layer.size):>8}  {inside(layer)}", 40)
    yield ""
    yield from _wrapped(image_push(found), 2)


def _wrapped(text: str, indent: int = 2) -> list[str]:
    """`text` in lines of WIDTH, all but the first indented by `indent`; long words such as digests stay whole."""
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
