"""The second half of the line: lock -> wheels -> image, ready for the smoke test. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from envgen.engine import BuildOrder, Engine, EngineInfo, Image, RunOrder
from envgen.errors import BuildError, EngineError, ResolutionError, SmokeError, UsageError
from envgen.evidence import demands_of
from envgen.lock import Lock, Wheel, digest_of, dump_lock
from envgen.profile import Profile
from envgen.render import EPOCH, INSTALLER_GROUP, groups_of, render_dockerfile
from envgen.select import Chosen
from envgen.settings import mirrored_base
from envgen.smoke.runner import Bench
from envgen.smoke.sources import Kit
from envgen.target import Target
from envgen.wheels import WheelStore, check_space
from envgen.workspace import Workspace

DISK_PER_WHEEL_BYTE = 5
"""What a build takes of the engine's disk for each byte of wheels: contexts, unpacked files, byte code and blobs."""

BUILD_RATE = 8e6
"""Bytes of wheels that a build gets through in a second on two cores; a rough figure, for the estimate alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a build will take: bytes to download, bytes of disk for the engine, seconds; all but the first are rough."""

    download: int
    disk: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """`base` replaces the locked base, `tag` the default tag; without `cache` every step runs."""

    base: str = ""
    tag: str = ""
    cache: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image, the lock it was made from, and the Python and base it really has."""

    image: Image
    lock: Lock
    python: str
    base: str


def image_target(profile: Profile, slug: str) -> Target:
    """The target called `slug`, or the first that an image is built for. Raises UsageError."""
    targets = [target for target in profile.targets() if profile.base(target)]
    for target in targets:
        if slug in ("", target.slug):
            return target
    names = ", ".join(target.slug for target in targets)
    problem = f"no image is built for {slug}" if slug else "no Python of it has a base: it is lock only"
    raise UsageError(f"profile {profile.name}", problem, hint=f"images are built for: {names}" if names else "add a base to a Python")


def estimate(work: Workspace, lock: Lock) -> Estimate:
    """What building `lock` will take."""
    total = sum(wheel.size for wheel in lock.wheels)
    download = sum(wheel.size for wheel in work.store.missing(_fetched(lock)))
    return Estimate(download=download, disk=total * DISK_PER_WHEEL_BYTE, seconds=15 + int(total / BUILD_RATE))


def _fetched(lock: Lock) -> tuple[Wheel, ...]:
    return (*lock.wheels, lock.installer) if lock.installer else lock.wheels


def check_disk(work: Workspace, lock: Lock, info: EngineInfo) -> None:
    """Raises DiskFullError before a build starts that would run out of disk."""
    wanted = estimate(work, lock)
    check_space(work.settings.wheels, wanted.download, "the wheels that are missing in the store")
    if info.data_root:
        check_space(Path(info.data_root), wanted.disk, "the build")


def fetch(work: Workspace, lock: Lock) -> None:
    """Brings every wheel of `lock` into the store, verified. Raises ResolutionError, VerificationError or DiskFullError."""
    wheels = _fetched(lock)
    missing = work.store.missing(wheels)
    client = work.client({index.name: index.url for index in lock.indexes})
    if not missing:
        work.reporter.step(f"wheels: all {len(wheels)} are in the store")
        return
    total = sum(wheel.size for wheel in missing)
    with work.reporter.transfer(f"wheels: fetching {len(missing)} of {len(wheels)}", total) as advance:
        work.store.fetch(missing, client, advance)


def build(work: Workspace, lock: Lock, engine: Engine, options: BuildOptions) -> Built:
    """Builds the image of `lock` into the engine's store; nothing is fetched inside the build but the base.

    Raises BuildError, EngineError, VerificationError.
    """
    python = lock.python
    arguments, labels = {}, {}
    mirrored = mirrored_base(work.settings, lock.base)
    if options.base:
        python = base_python(engine, options.base, lock)
        check_same_packages(lock, python, work.store)
        arguments = {"BASE": options.base, "PYTHON": python}
        labels = {"envgen.base.override": options.base}
        work.reporter.step(f"base: {options.base} with Python {python}, IN PLACE OF the locked {lock.base}")
    elif mirrored != lock.base:
        # The image must be the same wherever the base was pulled from.
        arguments, labels = {"BASE": mirrored}, {"org.opencontainers.image.base.name": lock.base}
    assert lock.installer is not None
    groups: dict[str, Sequence[Wheel]] = {**groups_of(lock), INSTALLER_GROUP: (lock.installer,)}
    with work.store.lend(groups) as folders:
        order = BuildOrder(
            dockerfile=render_dockerfile(lock, work.catalog.template("Dockerfile.j2")).encode(),
            contexts={f"wheels-{group}": folder for group, folder in folders.items()},
            arguments={"SOURCE_DATE_EPOCH": str(EPOCH), **arguments},
            labels=labels,
            tag=options.tag or default_tag(lock),
            platform=lock.platform,
            cache=options.cache,
        )
        image = engine.build(order, work.reporter.detail)
    return Built(image=image, lock=lock, python=python, base=options.base or lock.base)


def default_tag(lock: Lock) -> str:
    """The tag of an image that was given no other."""
    return f"envgen/{lock.profile}:{lock.target}"


def existing(lock: Lock, engine: Engine, name: str) -> Built:
    """The image that was built from `lock` before.

    Raises SmokeError when there is none, or when it was built from another lock.
    """
    image = engine.image(name or default_tag(lock))
    if image is None:
        raise SmokeError(name or default_tag(lock), "there is no such image", hint=f"run: envgen build {lock.profile}")
    found = image.labels.get("envgen.lock", "none")
    if found != digest_of(dump_lock(lock)):
        problem = f"found an image built from lock {found[:19]}, expected {digest_of(dump_lock(lock))[:19]}"
        raise SmokeError(image.name, problem, hint=f"run: envgen build {lock.profile}")
    # A plain `docker build` may have been given another base too: then only the general label says so.
    general = image.labels.get("org.opencontainers.image.base.name", lock.base)
    base = image.labels.get("envgen.base.override", general)
    return Built(image=image, lock=lock, python=image.labels.get("envgen.python", lock.python), base=base)


def model_kit(work: Workspace, built: Built, bench: Bench, hub: Mapping[str, str]) -> Kit:
    """What a model from elsewhere is fetched with; `hub` are the variables that the hub's client is given."""
    return Kit(
        image=built.image.name,
        lock=built.lock,
        bench=bench,
        settings=work.settings,
        client=work.client({}),
        store=work.store,
        known=work.catalog.model_wheels(),
        diagnoses=work.catalog.diagnoses(),
        hub=hub,
    )


def base_python(engine: Engine, base: str, lock: Lock) -> str:
    """The full version of the Python in the image `base`. Raises BuildError when it has none that fits the lock."""
    lines: list[str] = []
    program = f"python{lock.python_minor}"
    command = (program, "-I", "-S", "-c", "import platform; print(platform.python_version())")
    try:
        result = engine.run(RunOrder(image=base, command=command, environment={}), lines.append)
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
    try:
        demands_of(asked, lock.profile, [_chosen(wheel, store) for wheel in lock.wheels], target)
    except ResolutionError as error:
        problem = f"Python {python} in place of {lock.python} would want other packages: {error}"
        raise BuildError("--base", problem, hint="take a base with the locked Python") from error


def _chosen(wheel: Wheel, store: WheelStore) -> Chosen:
    from packaging.metadata import parse_email

    metadata, _ = parse_email(store.metadata_of(wheel))
    requires = tuple(Requirement(text) for text in metadata.get("requires_dist", []))
    return Chosen(wheel=wheel, requires=requires, requires_python=metadata.get("requires_python", ""))
