"""The words that `envgen diff` has in text and in Markdown: the sum of a comparison in a line, and sizes that moved."""

from collections.abc import Sequence

from envgen.core.text import human_size, pluralize
from envgen.trust.diff import ImageComparison, LockComparison
from envgen.trust.diff.images import FoundIn, ImageLayer, ImageSummary
from envgen.trust.diff.model import ChangeKind, LayerChange, PackageChange, Places, Reason, where

SAID = {
    ChangeKind.UPGRADED: "upgraded",
    ChangeKind.DOWNGRADED: "downgraded",
    ChangeKind.REPLACED: "with another file",
    ChangeKind.ADDED: "added",
    ChangeKind.REMOVED: "removed",
    ChangeKind.REGROUPED: "in another layer group",
    ChangeKind.EVIDENCE: "with other evidence alone",
}
"""What happened to a package, as it stands behind its name or behind a number of packages."""


def headline(found: LockComparison | ImageComparison) -> str:
    """What changed, in one line."""
    packages = _counted(found.packages)
    if isinstance(found, ImageComparison):
        if not found.different:
            return f"the same image: nothing is different ({found.before.digest[:19]})"
        shared = sum(1 for layer in found.layers if layer.side == FoundIn.BOTH)
        if shared == len(found.layers) and not found.labels:
            return "the images have the same layers and labels, and differ in another part of their configuration"
        return f"the images differ; {packages or 'the same packages'}; {shared} of {len(found.layers)} layers shared"
    total = len(found.compared)
    if not found.different:
        return f"nothing is different: {pluralize(total, 'lock is', 'locks are')} the same" if total else "no locks on either side"
    parts = [f"{total - len(found.same)} of {total} locks differ"] if total else []
    parts += [f"{pluralize(len(locks), 'lock')} {what}" for locks, what in ((found.added, "added"), (found.removed, "removed")) if locks]
    if total > len(found.same):
        parts.append(packages or "the same packages")
    return "; ".join(parts)


def _counted(packages: Sequence[PackageChange]) -> str:
    """How many packages each thing happened to; empty where nothing happened to any."""
    names = {kind: {change.change.name for change in packages if change.change.kind == kind} for kind in ChangeKind}
    counts = ", ".join(f"{len(found)} {SAID[kind]}" for kind, found in names.items() if found)
    return f"packages: {counts}" if counts else ""


def versions(change: PackageChange) -> str:
    """From which version to which, as in `1.0 -> 2.0`; one version where there is one."""
    before, after = change.change.before, change.change.after
    return f"{before} -> {after}" if before and after and before != after else after or before


def moved(before: int, after: int) -> str:
    """Two sizes, and by how much they differ."""
    sign = "+" if after > before else "-"
    return f"{human_size(before)} -> {human_size(after)}" + (f" ({sign}{human_size(abs(after - before))})" if after != before else "")


def reason(found: Reason, change: PackageChange, everywhere: Places) -> str:
    """A reason, with its places where they are not all of the change's."""
    return found.text if found.places == change.places else f"{found.text} [{where(found.places, everywhere)}]"


def by_places(packages: Sequence[PackageChange]) -> list[tuple[Places, list[PackageChange]]]:
    """Changes with the same places together, those with most places first, those of evidence alone behind all others."""
    groups: dict[tuple[bool, Places], list[PackageChange]] = {}
    for change in packages:
        groups.setdefault((change.change.kind == ChangeKind.EVIDENCE, change.places), []).append(change)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[0][1]), item[0][1]))
    return [(places, changes) for (_, places), changes in ordered]


def title(places: Places, changes: Sequence[PackageChange], everywhere: Places) -> str:
    """What stands above changes that have the same places."""
    what = "packages that stay, with other evidence," if changes[0].change.kind == ChangeKind.EVIDENCE else "packages"
    return f"{what} in {where(places, everywhere)}"


def shown_layers(found: LockComparison) -> tuple[LayerChange, ...]:
    """The layer groups that are worth a line: those that change, or all of them where one lock was compared."""
    return tuple(entry for entry in found.layers if entry.layer.changed or len(found.compared) == 1)


def push(found: LockComparison) -> str:
    """What pushing the images anew sends at most."""
    changing = [entry for entry in found.pushes if entry.changed]
    if not found.pushes:
        return "no image is built from what differs"
    if not changing:
        return "no layer group of an image changes: a push sends none of them again"
    sent, totals = ([getattr(entry, key) for entry in changing] for key in ("changed", "total"))
    images = sum(len(entry.places) for entry in changing)
    each = f" for each of {images} images" if images > 1 else ""
    base = ", and the new base" if any(entry.fact.name == "base" for entry in found.facts) else ""
    return (
        f"a push sends at most {_span(sent)} of {_span(totals)} again{each}{base}: the bytes of the wheels in groups that change, "
        "an upper estimate, and not the size of compressed layers"
    )


def _span(sizes: Sequence[int]) -> str:
    first, last = human_size(min(sizes)), human_size(max(sizes))
    return first if first == last else f"{first} to {last}"


def image_push(found: ImageComparison) -> str:
    """What a push of the second image sends to a registry that has the first."""
    return (
        f"a push of the second to where the first is sends {human_size(found.push)} of {human_size(found.after.size)} (compressed layers)"
    )


def inside(layer: ImageLayer) -> str:
    """What a layer holds: its group, if that is known, and some of its packages."""
    return f"{layer.group}: {layer.holds}" if layer.group else layer.holds


def lock_of(image: ImageSummary) -> str:
    """The lock that an image says it was built from, and whether it is at hand."""
    if not image.lock:
        return "its labels name no lock"
    return f"lock {image.lock[:19]}, {f'here that of {image.known_as}' if image.known_as else 'which is not among the locks here'}"


def no_reasons(found: ImageComparison) -> str:
    """Why there are no reasons for the packages of two images; empty where there are."""
    if not found.packages or (found.before.known_as and found.after.known_as):
        return ""
    return "why they moved stands in their locks, which are not both here: envgen diff REVISION REVISION"
