"""`envgen reproduce`: builds an image twice in different environments, or once to compare with another. Prints nothing."""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envgen.core.errors import EngineError, UsageError
from envgen.core.parallel import defer_signals
from envgen.core.settings import Settings, base_via_mirror
from envgen.core.tempdirs import temp_dir
from envgen.engine import Engine, Image
from envgen.image import BuildOptions, Built, build
from envgen.image.layers import BASE, SKELETON, own_layers
from envgen.lock import Lock
from envgen.oci import Archive, Difference
from envgen.trust.reproduce.causes import likely_causes
from envgen.trust.reproduce.compare import OpenImage, compare_images
from envgen.trust.reproduce.environments import FIRST, SECOND, BuildVariation, inside
from envgen.workspace import Workspace

MakeEngine = Callable[[Settings], Engine]
"""Makes an engine for the environment of one build; the command line chooses which."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to reproduce, and how."""

    workspace: Workspace
    lock: Lock
    options: BuildOptions
    make_engine: MakeEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherImage:
    """An image to compare: its name, its digest, and where its blobs are (in the engine, in an archive, or nowhere)."""

    name: str
    digest: str
    image: Image | None = None
    archive: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """The result: our image, the one it was compared with, and the differences; `seconds` are those of each build.

    `causes` are the likely causes. Without the other's blobs, only the digests are compared.
    """

    built: Built
    other: OtherImage
    seconds: tuple[float, ...]
    differences: tuple[Difference, ...] = ()
    causes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return self.built.image.digest == self.other.digest


def build_twice(plan: Plan) -> Reproduction:
    """Compares two builds without cache, in environments as different as possible. Raises as `build_image` does."""
    with ExitStack() as stack:
        built, first = _build(plan, FIRST, stack)
        again, second = _build(plan, SECOND, stack)
        other = OtherImage(name="the second build", digest=again.image.digest, image=again.image)
        return _compare(plan, built, other, (first, second))


def build_against(plan: Plan, name: str) -> Reproduction:
    """Compares a build without cache with the image `name`: an archive, an image in the engine's store, or one to pull.

    Raises as `build_image` does, EngineError for an unavailable image, UsageError for an invalid name, and VerificationError for an
    archive that is corrupt or that an engine may load another image from.
    """
    with ExitStack() as stack:
        other = _find(plan, name, stack)
        built, seconds = _build(plan, FIRST, stack)
        return _compare(plan, built, other, (seconds,))


def _build(plan: Plan, variation: BuildVariation, stack: ExitStack) -> tuple[Built, float]:
    """Builds an image in one environment; returns it and the seconds it took. Its tag is always removed when `stack` ends."""
    tag = f"envgen-reproduce/{plan.lock.profile}:{secrets.token_hex(6)}"
    stack.callback(_remove, plan, tag)
    started = time.monotonic()
    with inside(variation, plan.workspace.settings) as settings:
        options = replace(plan.options, tag=tag, cache=False, arguments=variation.arguments)
        built = build.build_image(replace(plan.workspace, settings=settings), plan.lock, plan.make_engine(settings), options)
    seconds = time.monotonic() - started
    plan.workspace.reporter.step(f"{variation.name} build: {built.image.digest} ({seconds:.0f} s)")
    return built, seconds


def _remove(plan: Plan, tag: str) -> None:
    try:
        with defer_signals():
            plan.make_engine(plan.workspace.settings).remove(tag)
    except EngineError as error:
        # An earlier error matters more.
        plan.workspace.reporter.step(f"{tag}: can't be removed: {error.problem}")


def _find(plan: Plan, name: str, stack: ExitStack) -> OtherImage:
    """The image to compare with; one that is pulled is removed when `stack` ends."""
    if Path(name).is_file():
        plan.workspace.reporter.step(f"reading {name}")
        with Archive(Path(name)) as archive:
            image = archive.image(platform=plan.lock.platform)
            # The digest of an archive's image does not prove that its blobs match.
            archive.check_only(image)
            archive.verify(image)
            return OtherImage(name=name, digest=image.digest, archive=Path(name))
    engine = plan.make_engine(plan.workspace.settings)
    reference = base_via_mirror(plan.workspace.settings, name)
    if local := engine.image(name) or engine.image(reference):
        return OtherImage(name=name, digest=local.digest, image=local)
    if _DIGEST.fullmatch(name):
        return OtherImage(name=name, digest=name)
    if Path(name).is_dir():
        hint = f"make an archive of an OCI layout: tar -C {name} -cf image.tar ."
        raise UsageError(f"--against {name}", "is a folder, expected an archive, or an image's name or digest", hint=hint)
    plan.workspace.reporter.step(f"pulling {reference}")
    stack.callback(_remove, plan, reference)
    try:
        pulled = engine.pull(reference, plan.lock.platform)
    except EngineError as error:
        hint = "expected the path of an archive, or an image's name or digest"
        raise EngineError(f"--against {name}", str(error), hint=hint) from error
    return OtherImage(name=name, digest=pulled.digest, image=pulled)


def _compare(plan: Plan, built: Built, other: OtherImage, seconds: tuple[float, ...]) -> Reproduction:
    result = Reproduction(built=built, other=other, seconds=seconds)
    if result.same or not (other.image or other.archive):
        return result
    plan.workspace.reporter.step("comparing the images, blob by blob")
    mine = OtherImage(name=built.image.name, digest=built.image.digest, image=built.image)
    with _opened(plan, mine) as first, _opened(plan, other) as second:
        names = layer_names(plan.lock, len(first.image.layers))
        differences = compare_images(first, second, names)
        causes = likely_causes(first.image, second.image, len(names) - names.index(SKELETON)) if differences else ()
        # If the image is in an index, its own digest counts.
        other = replace(other, digest=second.image.digest)
    return replace(result, other=other, differences=differences, causes=causes)


@contextmanager
def _opened(plan: Plan, subject: OtherImage) -> Iterator[OpenImage]:
    """The image as an open archive."""
    with temp_dir("reproduce") as folder:
        path = subject.archive or folder / "image.tar"
        if subject.image:
            plan.make_engine(plan.workspace.settings).save(subject.image, path)
        with Archive(path) as archive:
            digest = subject.image.digest if subject.image else ""
            yield OpenImage(archive=archive, image=archive.image(digest=digest, platform=plan.lock.platform))


def layer_names(lock: Lock, count: int) -> Sequence[str]:
    """The names of the `count` layers of an image of `lock`."""
    own = own_layers(lock)
    return [*(f"{BASE} {place}" for place in range(1, count - len(own) + 1)), *own]
