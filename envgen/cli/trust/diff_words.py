"""The words that `envgen diff` shares between text and Markdown: headlines, titles, sizes."""

from collections.abc import Sequence

from envgen.core.text import human_size, pluralize
from envgen.trust.diff import ImageComparison, LockComparison
from envgen.trust.diff.images import FoundIn, ImageLayer, ImageSummary
from envgen.trust.diff.model import ChangeKind, LayerChange, PackageChange, Places, Reason, where

KIND_WORDS = {
    ChangeKind.UPGRADED: "upgraded",
    ChangeKind.DOWNGRADED: "downgraded",
    ChangeKind.REPLACED: "with another file",
    ChangeKind.ADDED: "added",
    ChangeKind.REMOVED: "removed",
    ChangeKind.REGROUPED: "in another layer group",
    ChangeKind.EVIDENCE: "with changed requirements or bounds",
}
"""What happened to a package, after its name or after a number of packages."""


def headline(comparison: LockComparison | ImageComparison) -> str:
    """What changed, in one line."""
    packages = _counted(comparison.packages)
    if isinstance(comparison, ImageComparison):
        if not comparison.different:
            return f"no differences: the same image ({comparison.before.digest[:19]})"
        shared = sum(1 for layer in comparison.layers if layer.side == FoundIn.BOTH)
        if shared == len(comparison.layers) and not comparison.labels:
            return "the images differ in their configuration; the same layers and labels"
        return f"the images differ; {packages or 'the same packages'}; {shared} of {len(comparison.layers)} layers shared"
    total = len(comparison.compared)
    if not comparison.different:
        return f"no differences: {pluralize(total, 'lock is', 'locks are')} the same" if total else "no locks on either side"
    parts = [f"{total - len(comparison.same)} of {total} locks differ"] if total else []
    parts += [
        f"{pluralize(len(locks), 'lock')} {what}" for locks, what in ((comparison.added, "added"), (comparison.removed, "removed")) if locks
    ]
    if total > len(comparison.same):
        parts.append(packages or "the same packages")
    return "; ".join(parts)


def _counted(packages: Sequence[PackageChange]) -> str:
    """How many packages changed in each way; empty if none did."""
    names = {kind: {change.change.name for change in packages if change.change.kind == kind} for kind in ChangeKind}
    counts = ", ".join(f"{len(packages)} {KIND_WORDS[kind]}" for kind, packages in names.items() if packages)
    return f"packages: {counts}" if counts else ""


def versions(change: PackageChange) -> str:
    """The old and new version, as in `1.0 -> 2.0`, or the only one."""
    before, after = change.change.before, change.change.after
    return f"{before} -> {after}" if before and after and before != after else after or before


def moved(before: int, after: int) -> str:
    """Two sizes and their difference."""
    sign = "+" if after > before else "-"
    return f"{human_size(before)} -> {human_size(after)}" + (f" ({sign}{human_size(abs(after - before))})" if after != before else "")


def reason(entry: Reason, change: PackageChange, everywhere: Places) -> str:
    """A reason, with its places if they are not all of the change's."""
    return entry.text if entry.places == change.places else f"{entry.text} [{where(entry.places, everywhere)}]"


def by_places(packages: Sequence[PackageChange]) -> list[tuple[Places, list[PackageChange]]]:
    """Group changes by their places: those with the most places first, unchanged packages last."""
    groups: dict[tuple[bool, Places], list[PackageChange]] = {}
    for change in packages:
        groups.setdefault((change.change.kind == ChangeKind.EVIDENCE, change.places), []).append(change)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[0][1]), item[0][1]))
    return [(places, changes) for (_, places), changes in ordered]


def title(places: Places, changes: Sequence[PackageChange], everywhere: Places) -> str:
    """The title of changes that have the same places."""
    unchanged = changes[0].change.kind == ChangeKind.EVIDENCE
    what = "unchanged packages whose requirements or bounds changed," if unchanged else "packages"
    return f"{what} in {where(places, everywhere)}"


def shown_layers(comparison: LockComparison) -> tuple[LayerChange, ...]:
    """The layer groups to show: those that changed, or all if only one lock was compared."""
    return tuple(entry for entry in comparison.layers if entry.layer.changed or len(comparison.compared) == 1)


def push(comparison: LockComparison) -> str:
    """An upper bound of what pushing the new images sends."""
    changing = [entry for entry in comparison.pushes if entry.changed]
    if not comparison.pushes:
        return "no image is built from the changed locks"
    if not changing:
        return "no layer group of an image changes: a push resends none"
    sent, totals = ([getattr(entry, key) for entry in changing] for key in ("changed", "total"))
    images = sum(len(entry.places) for entry in changing)
    each = f" for each of {images} images" if images > 1 else ""
    base = ", and the new base" if any(entry.fact.name == "base" for entry in comparison.facts) else ""
    return (
        f"a push resends at most {_span(sent)} of {_span(totals)}{each}{base} "
        "(an upper bound: the wheels of the changed groups, not compressed layers)"
    )


def _span(sizes: Sequence[int]) -> str:
    first, last = human_size(min(sizes)), human_size(max(sizes))
    return first if first == last else f"{first} to {last}"


def image_push(comparison: ImageComparison) -> str:
    """What pushing the second image sends to a registry that has the first."""
    sizes = f"{human_size(comparison.push)} of {human_size(comparison.after.size)}"
    return f"pushing the second to a registry that has the first sends {sizes} (compressed layers)"


def inside(layer: ImageLayer) -> str:
    """What a layer holds: its group, if known, and some of its packages."""
    return f"{layer.group}: {layer.holds}" if layer.group else layer.holds


def lock_of(image: ImageSummary) -> str:
    """The lock that an image was built from, by its label, and whether that is here."""
    if not image.lock:
        return "no lock in its labels"
    return f"lock {image.lock[:19]}, {f'that of {image.known_as} here' if image.known_as else 'not among the locks here'}"


def no_reasons(comparison: ImageComparison) -> str:
    """Why there are no reasons for the package changes of two images; empty if there are."""
    if not comparison.packages or (comparison.before.known_as and comparison.after.known_as):
        return ""
    return "no reasons: the locks of both are not here; see: envgen diff REVISION REVISION"
