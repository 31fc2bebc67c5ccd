"""Compares two images: their labels, the layers they share, and the packages in the others."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from envgen.core.errors import StaleLockError, VerificationError
from envgen.core.tempdirs import temp_dir
from envgen.engine import ImageStore
from envgen.engine.interface import Blob
from envgen.lock import Lock, parse_lock
from envgen.lock.header import HeaderField
from envgen.lock.labels import LOCK as LOCK_LABEL
from envgen.lock.model import digest_of
from envgen.lock.render import PREFIX
from envgen.oci import Archive, Layer
from envgen.profiles import Project
from envgen.profiles.catalog import LOCK_FILE, shipped
from envgen.trust.diff.model import Change, ChangeKind, LockPair, PackageChange, Reason
from envgen.trust.diff.operands import ImageSide
from envgen.trust.diff.packages import changes_of, kind_of

_METADATA = re.compile(r"(?P<folder>.*/(?:site|dist)-packages)/(?P<info>(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info)/METADATA")
"""Matches importable packages only: some vendor others, as setuptools does in its folder _vendor."""

_MINOR = re.compile(r"python3\.\d+")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package: its folder, without Python's minor version, its name and version, and the path of its dist-info folder."""

    folder: str
    name: str
    version: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """The packages in a layer, and the paths below which it hides everything of lower layers."""

    packages: tuple[Installed, ...]
    hidden: frozenset[str]


def read_layer(archive: Archive, layer: Layer) -> LayerContents:
    """The contents of `layer`; its digests are checked. Raises VerificationError."""
    return layer_contents(member.name for member, _ in archive.files(layer))


def layer_contents(names: Iterable[str]) -> LayerContents:
    """The contents of a layer whose entries have these names."""
    packages, hidden = [], set()
    for path in (PurePosixPath("/", name) for name in names):
        if path.name == _OPAQUE:
            hidden.add(str(path.parent))
        elif path.name.startswith(_WHITEOUT):
            hidden.add(f"{path.parent}/{path.name.removeprefix(_WHITEOUT)}")
        elif match := _METADATA.fullmatch(str(path)):
            name = canonicalize_name(match["name"])
            folder = _MINOR.sub("python3", match["folder"])
            packages.append(Installed(folder=folder, name=name, version=match["version"], path=f"{match['folder']}/{match['info']}"))
    return LayerContents(packages=tuple(packages), hidden=frozenset(hidden))


def packages_of(layers: Sequence[LayerContents]) -> dict[tuple[str, str], str]:
    """The packages of an image with these layers, the lowest first: the version of each by folder and name."""
    found: dict[str, Installed] = {}
    for layer in layers:
        found = {path: package for path, package in found.items() if not _is_hidden(path, layer)}
        found.update({package.path: package for package in layer.packages})
    return {(package.folder, package.name): package.version for package in found.values()}


def _is_hidden(path: str, layer: LayerContents) -> bool:
    return not layer.hidden.isdisjoint({f"{path}/METADATA", path, *map(str, PurePosixPath(path).parents)})


class FoundIn(StrEnum):
    """Which of the two images has a layer."""

    BOTH = "both"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """One image: its digest, the compressed bytes of its layers, its lock's digest, and that lock's profile and target."""

    label: str
    digest: str
    size: int
    lock: str
    known_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer: the digest of its blob, its compressed size in bytes, and which image has it.

    `group` is the layer group of its packages, if the lock is available; `holds` names some of them.
    """

    digest: str
    size: int
    side: FoundIn
    group: str = ""
    holds: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageComparison:
    """Two images. Package changes have no places, and reasons only if both images' locks are available."""

    before: ImageSummary
    after: ImageSummary
    labels: tuple[HeaderField, ...]
    layers: tuple[ImageLayer, ...]
    packages: tuple[PackageChange, ...]

    @property
    def different(self) -> bool:
        return self.before.digest != self.after.digest

    @property
    def push(self) -> int:
        """The compressed bytes that a push of the second image sends to a registry that has the first."""
        return sum(layer.size for layer in self.layers if layer.side == FoundIn.AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """An image whose manifest was read. `archive` opens its archive, which is written first unless it is `foreign`."""

    label: str
    digest: str
    labels: Mapping[str, str]
    blobs: tuple[Blob, ...]
    archive: Callable[[], Archive]
    foreign: bool = False


def known_locks(project: Project, digests: Sequence[str]) -> dict[str, Lock]:
    """The project's and envgen's own locks with these digests."""
    known = {}
    for folder in (project.folder, shipped()):
        for path in folder.glob(f"locks/*/*/{LOCK_FILE}"):
            # Locks that can't be read, or that another version of envgen wrote, are ignored.
            with suppress(OSError, StaleLockError):
                content = path.read_bytes()
                if (digest := digest_of(content)) in digests:
                    known[digest] = parse_lock(content, project.label(path))
    return known


def compare_images(
    sides: tuple[ImageSide, ImageSide], engine: Callable[[], ImageStore], project: Project, step: Callable[[str], None]
) -> ImageComparison:
    """The differences between two images. Images in the engine's store are read only if they differ, archives always and completely; `step`
    reports slow steps.

    Raises VerificationError for an archive that is incomplete or that an engine may load another image from, EngineError, DiskFullError.
    """
    with ExitStack() as stack:
        before, after = (_open(side, engine, stack, step) for side in sides)
        known = known_locks(project, [image.labels.get(LOCK_LABEL, "") for image in (before, after)])
        contents = _read((before, after), step)
    locks = known.get(before.labels.get(LOCK_LABEL, "")), known.get(after.labels.get(LOCK_LABEL, ""))
    return ImageComparison(
        before=_summary(before, locks[0]),
        after=_summary(after, locks[1]),
        labels=tuple(_labels(before.labels, after.labels)),
        layers=tuple(_layers((before, after), contents, locks)),
        packages=_packages(_inside(before, contents), _inside(after, contents), locks),
    )


def _open(side: ImageSide, engine: Callable[[], ImageStore], stack: ExitStack, step: Callable[[str], None]) -> _Opened:
    if side.path is not None:
        return _from_file(stack.enter_context(Archive(side.path)), side)
    image = side.image
    assert image is not None

    def save() -> Archive:
        step(f"reading {side.label}")
        folder = stack.enter_context(temp_dir("diff"))
        engine().save(image, folder / "image.tar")
        return stack.enter_context(Archive(folder / "image.tar"))

    return _Opened(label=side.label, digest=image.digest, labels=image.labels, blobs=engine().layers(image), archive=save)


def _from_file(archive: Archive, side: ImageSide) -> _Opened:
    try:
        found = archive.image()
        archive.check_only(found)
        labels = {name: str(value) for name, value in found.labels.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise VerificationError(side.label, f"its manifest or configuration is malformed: {error}") from error
    blobs = tuple(Blob(digest=layer.digest, size=layer.size, media_type=layer.media_type) for layer in found.layers)
    return _Opened(label=side.label, digest=found.digest, labels=labels, blobs=blobs, archive=lambda: archive, foreign=True)


def _read(images: Sequence[_Opened], step: Callable[[str], None]) -> dict[str, LayerContents]:
    """The contents of the images' layers, by the digest of each blob; empty if both are the same image in the engine's store.

    The blobs of an archive are trusted only after all of them have been read; those in its store were checked by the engine.
    """
    found: dict[str, LayerContents] = {}
    for image in sorted(images, key=lambda image: not image.foreign):
        if image.foreign:
            step(f"reading {image.label}")
        elif len({image.blobs for image in images}) == 1 or all(blob.digest in found for blob in image.blobs):
            continue
        archive = image.archive()
        for layer in archive.image(image.digest).layers:
            if image.foreign or layer.digest not in found:
                found[layer.digest] = read_layer(archive, layer)
    return found


def _inside(image: _Opened, contents: Mapping[str, LayerContents]) -> dict[tuple[str, str], str]:
    """The packages of an image whose layers were read; empty if that was not needed."""
    return packages_of([contents[blob.digest] for blob in image.blobs if blob.digest in contents])


def _summary(image: _Opened, lock: Lock | None) -> ImageSummary:
    return ImageSummary(
        label=image.label,
        digest=image.digest,
        size=sum(blob.size for blob in image.blobs),
        lock=image.labels.get(LOCK_LABEL, ""),
        known_as=f"{lock.profile} {lock.target}" if lock else "",
    )


def _labels(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[HeaderField]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield HeaderField(name=name, before=before.get(name, "none"), after=after.get(name, "none"))


def _layers(
    images: tuple[_Opened, _Opened], contents: Mapping[str, LayerContents], locks: tuple[Lock | None, Lock | None]
) -> Iterator[ImageLayer]:
    """The layers that only the first image has, then those of the second; each once."""
    old, new = ({blob.digest: blob.size for blob in image.blobs} for image in images)
    for digest, size in {**{digest: size for digest, size in old.items() if digest not in new}, **new}.items():
        names = sorted({package.name for package in contents[digest].packages}) if digest in contents else []
        side = FoundIn.BEFORE if digest not in new else FoundIn.BOTH if digest in old else FoundIn.AFTER
        group = _group(names, locks[0] if side == FoundIn.BEFORE else locks[1])
        yield ImageLayer(digest=digest, size=size, side=side, group=group, holds=_some(names))


def _group(names: Sequence[str], lock: Lock | None) -> str:
    """The layer group that all these packages are in; empty if they are in several."""
    groups = {package.layer if (package := lock.package(name)) else "" for name in names} if lock else set()
    return groups.pop() if len(groups) == 1 else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _packages(
    old: Mapping[tuple[str, str], str], new: Mapping[tuple[str, str], str], locks: Sequence[Lock | None]
) -> tuple[PackageChange, ...]:
    first, second = locks
    reasons = dict(changes_of(LockPair(before=first, after=second))) if first and second else {}
    found = []
    for folder, name in sorted({*old, *new}):
        versions = old.get((folder, name), ""), new.get((folder, name), "")
        if versions[0] != versions[1]:
            change = Change(kind=kind_of(*versions), name=name, before=versions[0], after=versions[1])
            locked = folder.startswith(f"{PREFIX}/")
            why = reasons.get(change, ()) if locked else (f"in {folder}, where envgen does not install packages",)
            found.append(PackageChange(change=change, reasons=tuple(Reason(text=text, places=()) for text in why), places=()))
    return tuple(sorted(found, key=lambda one: list(ChangeKind).index(one.change.kind)))
