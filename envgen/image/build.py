"""An image from a lock, on the locked base or on another one.

The order of a build: `estimate.check_disk` and `check_platform`; everything locked is fetched (`offline.fetch`); `build_image` makes the
image from that and nothing else; `layer_record.check_layers` compares its layers with the record beside the lock. Then it is tested
(`smoke`) and, if it passed, published (`publish.publish`).
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
"""The Dockerfile's ARG for where the base is taken from. It stands before all stages, since what a stage uses gets into the history of
the image, and with that into its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """`base` replaces the locked base, `tag` the default tag; `compression` is `zstd` or `gzip`; without `cache` every step runs.

    `arguments` are build arguments that leave no trace in an image.
    """

    base: str | None = None
    tag: str | None = None
    compression: str = "zstd"
    cache: bool = True
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image, the lock it was made from, and its Python and base: those it was built on just now, or those that it names.

    `base_matches` is whether its lowest layers are those of that base; None where the engine does not have the base.
    `groups` are its layer groups, and what a push of each would send against the image that had the tag before: none where it was
    not built just now. `replaced` is that image's digest, None where there was none.
    """

    image: Image
    lock: Lock
    python: str
    base: str
    groups: tuple[GroupSize, ...] = ()
    replaced: str | None = None
    base_matches: bool | None = True


def build_image(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> Built:
    """Builds the image of `lock` into the engine's store; nothing is fetched inside the build but the base.

    Raises BuildError, EngineError, VerificationError, and UsageError for a template that can't do what is asked.
    """
    request, python = make_request(workspace, lock, engine, options)
    before = engine.image(request.tag)
    there = {blob.digest for blob in engine.layers(before)} if before else set[str]()
    with workspace.store.linked_dirs(wheel_groups(lock)) as folders:
        image, blobs = _build(replace(request, contexts=contexts_of(folders)), lock, engine, workspace)
    return Built(
        image=image,
        lock=lock,
        python=python,
        base=options.base or lock.base,
        groups=group_sizes(lock, blobs, there),
        replaced=before.digest if before else None,
    )


def make_request(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> tuple[BuildRequest, str]:
    """What is to be built, without the wheels, and the full version of the Python it is built on. Raises as `build` does."""
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
    """The wheels that a build is given, by layer group; the installer is a group of its own."""
    assert lock.installer is not None
    return {**lock.groups, INSTALLER_GROUP: (lock.installer,)}


def contexts_of(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The build contexts that stand in for the stages which would fetch the wheels; `folders` are by layer group."""
    return {f"wheels-{group}": folder for group, folder in folders.items()}


def _base(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
    """The full version of the Python to build on, and the build arguments and labels that say which base it is in."""
    source = _source(workspace, lock, engine, options)
    # The image must be the same wherever the base was taken from.
    place = {} if source == (options.base or lock.base) else {BASE_FROM: source}
    if not options.base:
        return lock.python, place, {}
    python = base_python(engine, options.base, source, lock)
    check_same_packages(lock, python, workspace.store)
    workspace.reporter.step(f"base: {options.base} with Python {python}, IN PLACE OF the locked {lock.base}")
    labels = {**base_labels(options.base, python), OVERRIDE: options.base}
    return python, {"BASE": options.base, "PYTHON": python, **place}, labels


def _source(workspace: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> str:
    """What BuildKit is to take the base from: its name in the engine's store without a network, else the mirror of a locked one."""
    if workspace.settings.offline:
        return cached_base(engine, options.base or lock.base, lock)
    return options.base or base_via_mirror(workspace.settings, lock.base)


def locked_dockerfile(workspace: Workspace, lock: Lock) -> str:
    """The Dockerfile beside `lock`, which is what the lock gives: checking a lock compares the two. Raises StaleLockError."""
    folder = workspace.project.find_lock_folder(lock.profile, lock.target)
    path = (folder or workspace.project.lock_folder(lock.profile, lock.target)) / DOCKERFILE
    return read_file(path, workspace.project.label(path)).decode()


def _dockerfile(workspace: Workspace, lock: Lock, arguments: Mapping[str, str]) -> bytes:
    """The Dockerfile. Raises UsageError for a project's own template that can't be told where the base is taken from."""
    text = locked_dockerfile(workspace, lock)
    if BASE_FROM in arguments and f"ARG {BASE_FROM}" not in text:
        problem = f"has no ARG {BASE_FROM}, which says where the base is taken from: {arguments[BASE_FROM]}"
        raise UsageError(f"templates/{DOCKERFILE_TEMPLATE}", problem, hint="begin with that of envgen, or remove yours")
    return text.encode()


def _build(request: BuildRequest, lock: Lock, engine: Engine, workspace: Workspace) -> tuple[Image, tuple[Blob, ...]]:
    """The image of `request` with its layers, all of ours in the compression that was asked for, as if nothing else was ever built."""
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        workspace.reporter.detail(line)

    image = engine.build(request, on_line)
    blobs = engine.layers(image)
    # A builder that made a layer for another image keeps it as that had it, and the digest would depend on that.
    if not all(blob.media_type.endswith(request.compression) for blob in own_blobs(lock, blobs).values()):
        why = f"layers: the builder has some that are not {request.compression}"
    elif words_of_others(engine.descriptions(image), lines):
        why = "history: the builder calls layers what another build called them"
    else:
        return image, blobs
    workspace.reporter.step(f"{why}: building again without its cache")
    image = engine.build(replace(request, cache=False), workspace.reporter.detail)
    return image, engine.layers(image)


def words_of_others(descriptions: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Those `descriptions` of steps, as in `[stage 1/1] COPY …`, that no step of a build has which wrote these `lines`."""
    return [text for text in descriptions if text.startswith("[") and not any(line.endswith(f" {text}") for line in lines)]


def find_built(lock: Lock, images: ImageStore, name: str | None) -> Built:
    """The image that was built from `lock` before.

    Raises SmokeError when there is none, or when it was built from another lock.
    """
    image = images.image(name or lock.tag)
    if image is None:
        raise SmokeError(name or lock.tag, "there is no such image", hint=f"run: envgen build {lock.profile}")
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
    """The full version of the Python in the image `base`, which the engine finds by the name `source`.

    Raises BuildError when it has none that fits the lock.
    """
    lines: list[str] = []
    program = f"python{lock.python_minor}"
    command = (program, "-I", "-S", "-c", "import platform; print(platform.python_version())")
    try:
        result = runtime.run(RunRequest(image=source, command=command, environment={}), lines.append)
    except EngineError as error:
        raise BuildError(f"--base {base}", f"can't be run: {error.problem}", hint=f"pull it first: docker pull {base}") from error
    if result.code != 0 or not lines:
        raise BuildError(f"--base {base}", f"has no {program}", hint=f"take a base with Python {lock.python_minor}")
    return lines[0].strip()


def check_same_packages(lock: Lock, python: str, store: WheelStore) -> None:
    """Raises BuildError when the lock's requirements give other packages on the full Python version `python`."""
    asked = [
        f"{package.wheel.name}{'' if demand.requirement == '*' else demand.requirement}"
        for package in lock.packages
        for demand in package.demands
        if demand.name == lock.profile
    ]
    target = Target(python_full=python, platform=lock.platform)
    chosen = [_chosen(wheel, store) for wheel in lock.wheels]
    try:
        demands_of(asked, lock.profile, chosen, target)
    except ResolutionError as error:
        problem = f"Python {python} in place of {lock.python} would want other packages: {error}"
        raise BuildError("--base", problem, hint="take a base with the locked Python") from error


def _chosen(wheel: Wheel, store: WheelStore) -> SelectedWheel:
    needs = read_needs(store.metadata_of(wheel), wheel.file, wheel.index)
    return SelectedWheel(wheel=wheel, requires=needs.requires, requires_python=needs.requires_python)
