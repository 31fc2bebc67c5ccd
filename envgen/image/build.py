"""Builds an image from a lock, on the locked base or on another one.

The steps of a build: `estimate.check_disk` and `check_platform`; everything locked is fetched (`offline.fetch`); `build_image` builds the
image from that alone; `layer_record.check_layers` compares its layers with the record beside the lock. Then it is tested (`smoke`) and,
if it passes, published (`publish.publish_image`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from envgen.core.errors import BuildError, EngineError, ResolutionError, SmokeError, UsageError
from envgen.core.requirements import read_needs
from envgen.core.settings import base_via_mirror
from envgen.core.target import Target
from envgen.engine import BuildRequest, Engine, Image, ImageStore, RunRequest, Runtime
from envgen.engine.interface import Blob
from envgen.image.bases import cached_base, find_base, pinned_digest
from envgen.image.layers import GroupSize, group_sizes, own_blobs
from envgen.lock import Lock
from envgen.lock.demands import demands_of
from envgen.lock.folder import read_file
from envgen.lock.labels import OVERRIDE, ImageLabels, base_labels
from envgen.lock.render import DOCKERFILE_TEMPLATE, EPOCH, INSTALLER_GROUP
from envgen.lock.select import SelectedWheel
from envgen.profiles.catalog import DOCKERFILE
from envgen.sources import Wheel, WheelStore
from envgen.workspace import Workspace

BASE_FROM = "BASE_FROM"
"""The Dockerfile's ARG for the source of the base. It precedes all stages: an ARG used in a stage gets into the image's history, and so
into its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Options of a build.

    `base` replaces the locked base, `tag` the default tag; `compression` is `zstd` or `gzip`; without `cache` every step runs.
    `arguments` are build arguments that leave no trace in the image.
    """

    base: str | None = None
    tag: str | None = None
    compression: str = "zstd"
    cache: bool = True
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image, the lock it was built from, and its Python and base: those it was just built on, or those that it names.

    `base_matches` is whether its lowest layers are those of that base; None if the engine does not have the base. `groups` are the
    sizes of its layer groups, with what a push would send compared to the tag's previous image; empty if it was not built just now.
    `replaced` is the previous image's digest, if any.
    """

    image: Image
    lock: Lock
    python: str
    base: str
    groups: tuple[GroupSize, ...] = ()
    replaced: str | None = None
    base_matches: bool | None = True


def build_image(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> Built:
    """Builds the image of `lock` into the engine's store; the build itself fetches nothing but the base.

    Raises BuildError, EngineError, VerificationError, and UsageError for a template that does not support the options.
    """
    request, python = make_request(workspace, lock, engine, options)
    before = engine.image(request.tag)
    pushed = {blob.digest for blob in engine.layers(before)} if before else set[str]()
    with workspace.store.linked_dirs(wheel_groups(lock)) as folders:
        image, blobs = _build(replace(request, contexts=contexts_of(folders)), lock, engine, workspace)
    return Built(
        image=image,
        lock=lock,
        python=python,
        base=options.base or lock.base,
        groups=group_sizes(lock, blobs, pushed),
        replaced=before.digest if before else None,
    )


def make_request(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> tuple[BuildRequest, str]:
    """The build request, without the wheels, and the full version of the Python to build on. Raises as `build_image` does."""
    python, arguments, labels = _base(workspace, lock, engine, options)
    request = BuildRequest(
        dockerfile=_dockerfile(workspace, lock, arguments),
        contexts={},
        arguments={"SOURCE_DATE_EPOCH": str(EPOCH), **arguments, **options.arguments},
        labels=labels,
        tag=options.tag or lock.tag,
        platform=lock.platform,
        compression=options.compression,
        cache=options.cache,
    )
    return request, python


def wheel_groups(lock: Lock) -> dict[str, Sequence[Wheel]]:
    """The wheels for a build, by layer group; the installer is a group of its own."""
    assert lock.installer is not None
    return {**lock.groups, INSTALLER_GROUP: (lock.installer,)}


def contexts_of(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The build contexts that replace the stages that fetch wheels; `folders` maps layer groups to folders of wheels."""
    return {f"wheels-{group}": folder for group, folder in folders.items()}


def _base(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    """The full version of the Python to build on, and the build arguments and labels that name its base."""
    source = _source(workspace, lock, engine, options)
    # The image must not depend on where the base comes from.
    origin = {} if source == (options.base or lock.base) else {BASE_FROM: source}
    if not options.base:
        return lock.python, origin, {}
    python = base_python(engine, options.base, source, lock)
    check_same_packages(lock, python, workspace.store)
    workspace.reporter.step(f"base: {options.base} with Python {python}, IN PLACE OF the locked {lock.base}")
    labels = {**base_labels(options.base, python), OVERRIDE: options.base}
    return python, {"BASE": options.base, "PYTHON": python, **origin}, labels


def _source(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> str:
    """The name of the base for BuildKit: in the engine's store if offline, else in its registry or, if locked, in a mirror."""
    if workspace.settings.offline:
        return cached_base(engine, options.base or lock.base, lock)
    return options.base or base_via_mirror(workspace.settings, lock.base)


def locked_dockerfile(workspace: Workspace, lock: Lock) -> str:
    """The Dockerfile beside `lock`, known to be up to date: checking a lock compares the two. Raises StaleLockError."""
    folder = workspace.project.find_lock_folder(lock.profile, lock.target)
    path = (folder or workspace.project.lock_folder(lock.profile, lock.target)) / DOCKERFILE
    return read_file(path, workspace.project.label(path)).decode()


def _dockerfile(workspace: Workspace, lock: Lock, arguments: Mapping[str, str]) -> bytes:
    """The Dockerfile. Raises UsageError if a project's own template has no argument for the source of the base."""
    text = locked_dockerfile(workspace, lock)
    if BASE_FROM in arguments and f"ARG {BASE_FROM}" not in text:
        problem = f"has no ARG {BASE_FROM}, which is needed to get the base from {arguments[BASE_FROM]}"
        raise UsageError(f"templates/{DOCKERFILE_TEMPLATE}", problem, hint="start from envgen's template, or remove yours")
    return text.encode()


def _build(request: BuildRequest, lock: Lock, engine: Engine, workspace: Workspace) -> tuple[Image, tuple[Blob, ...]]:
    """Builds the image of `request`; its digest must not depend on what the builder has cached. Returns it with its layers."""
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        workspace.reporter.detail(line)

    image = engine.build(request, on_line)
    blobs = engine.layers(image)
    # The builder's cache keeps a layer in the compression of the image it was first built for, and the digest would depend on that.
    if not all(blob.media_type.endswith(request.compression) for blob in own_blobs(lock, blobs).values()):
        why = f"layers: some in the builder's cache are not {request.compression}"
    elif steps_of_other_builds(engine.descriptions(image), lines):
        why = "history: the builder's cache has step names of another build"
    else:
        return image, blobs
    workspace.reporter.step(f"{why}: rebuilding without the cache")
    image = engine.build(replace(request, cache=False), workspace.reporter.detail)
    return image, engine.layers(image)


def steps_of_other_builds(descriptions: Sequence[str], lines: Sequence[str]) -> list[str]:
    """The `descriptions` of steps, as in `[stage 1/1] COPY …`, that do not occur in the output `lines` of a build."""
    return [text for text in descriptions if text.startswith("[") and not any(line.endswith(f" {text}") for line in lines)]


def find_built(lock: Lock, images: ImageStore, name: str | None) -> Built:
    """The existing image of `lock`.

    Raises UsageError if there is none, SmokeError if it was built from another lock.
    """
    image = images.image(name or lock.tag)
    if image is None:
        raise UsageError(name or lock.tag, "no such image", hint=f"run: envgen build {lock.profile}")
    labels = ImageLabels.read(image.labels)
    if labels.lock != lock.digest:
        problem = f"found an image built from lock {(labels.lock or 'none')[:19]}, expected {lock.digest[:19]}"
        raise SmokeError(image.name, problem, hint=f"run: envgen build {lock.profile}")
    base = labels.built_on or lock.base
    matches = stands_on(image, base, images)
    return Built(image=image, lock=lock, python=labels.python or lock.python, base=base, base_matches=matches)


def stands_on(image: Image, reference: str, images: ImageStore) -> bool | None:
    """Whether the lowest layers of `image` are those of the base `reference`, which it names; None where that can't be told."""
    try:
        base = find_base(images, reference)
    except UsageError:  # it is what a label says: no name of an image
        return None
    if base is None or base.platform != image.platform or not base.diff_ids:
        return None
    count = len(base.diff_ids)
    if len(image.diff_ids) > count and image.diff_ids[:count] == base.diff_ids:
        return True
    # A tag may have moved on since.
    return False if pinned_digest(reference) else None


def base_python(runtime: Runtime, base: str, source: str, lock: Lock) -> str:
    """The full version of the Python in the image `base`, which the engine knows as `source`.

    Raises BuildError if it has none of the lock's minor version.
    """
    lines: list[str] = []
    program = f"python{lock.python_minor}"
    command = (program, "-I", "-S", "-c", "import platform; print(platform.python_version())")
    try:
        result = runtime.run(RunRequest(image=source, command=command, environment={}), lines.append)
    except EngineError as error:
        raise BuildError(f"--base {base}", f"can't be run: {error.problem}", hint=f"pull it first: docker pull {base}") from error
    if result.code != 0 or not lines:
        raise BuildError(f"--base {base}", f"has no {program}", hint=f"use a base with Python {lock.python_minor}")
    return lines[0].strip()


def check_same_packages(lock: Lock, python: str, store: WheelStore) -> None:
    """Raises BuildError if the lock's requirements give different packages on the full Python version `python`."""
    requirements = [
        f"{package.wheel.name}{'' if demand.requirement == '*' else demand.requirement}"
        for package in lock.packages
        for demand in package.demands
        if demand.name == lock.profile
    ]
    target = Target(python_full=python, platform=lock.platform)
    selected = [_selected(wheel, store) for wheel in lock.wheels]
    try:
        demands_of(requirements, lock.profile, selected, target)
    except ResolutionError as error:
        problem = f"Python {python} instead of {lock.python} requires different packages: {error}"
        raise BuildError("--base", problem, hint="use a base with the locked Python") from error


def _selected(wheel: Wheel, store: WheelStore) -> SelectedWheel:
    needs = read_needs(store.metadata_of(wheel), wheel.file, wheel.index)
    return SelectedWheel(wheel=wheel, requires=needs.requires, requires_python=needs.requires_python)
