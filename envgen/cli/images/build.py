"""`envgen build`: builds an image from a lock, compares it with its record, tests it, and pushes it."""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.images.smoke import (
    IMAGE_SHAPE,
    REPORT_SHAPE,
    SmokeTestArgs,
    add_test_options,
    as_json,
    check_gpus,
    conclude,
    doubt_about,
    driver_of,
    image_json,
    smoke_test,
)
from envgen.cli.output import print_json
from envgen.cli.wiring import make_engine
from envgen.core.errors import EnvgenError, SmokeError, UsageError
from envgen.core.text import human_size
from envgen.engine import Engine, EngineInfo
from envgen.engine.interface import REFERENCE
from envgen.image import BuildEstimate, BuildOptions, Built, build_image, check_layers, estimate_build, find_built, publish_image
from envgen.image.estimate import check_disk, check_platform
from envgen.image.layer_record import records_of
from envgen.image.publish import Published, check_repository
from envgen.lock import Lock, project
from envgen.lock.project import require_cached
from envgen.offline import fetch_model, fetch_wheels, require_models
from envgen.smoke import SmokeReport, cached_model
from envgen.workspace import Workspace

SHAPE = (
    f'{{{IMAGE_SHAPE}, "smoke": report | null, "published": {{"tags": [{{"reference", "digest", "sent": [layer]}}], "index", '
    f'"platforms": [text], "absent": [target]}} | null}}\n{REPORT_SHAPE}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArgs(SmokeTestArgs):
    """The arguments of `envgen build`."""

    base: str
    tag: str
    no_cache: bool
    offline: bool
    compression: str
    no_smoke: bool
    push: str


def run(args: BuildArgs, workspace: Workspace) -> int:
    for option, reference in (("--tag", args.tag), ("--base", args.base)):
        if reference and not REFERENCE.fullmatch(reference):
            raise UsageError(option, f"found {reference!r}, expected an image name", hint="as in registry.example/team/image:1.0")
    workspace = workspace.offline() if args.offline else workspace
    profile = workspace.project.chosen_profile(args.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(args.target))
    if workspace.settings.offline:
        check_offline(args, workspace, lock)
    if args.push:
        _check_push(args)
    engine = make_engine(workspace.settings)
    info = engine.check()
    check_gpus(args, lock, info, driver_of(workspace, lock), no_smoke=args.no_smoke)
    workspace.reporter.step(f"engine: {info.versions()}")
    workspace.reporter.step(_estimate_line(estimate_build(workspace, lock)))
    check_platform(lock, info)
    check_disk(workspace, lock, info)
    with _says_untested(args, workspace, lock, engine):
        return _build_and_test(args, workspace, lock, engine, info)


@contextmanager
def _says_untested(args: BuildArgs, workspace: Workspace, lock: Lock, engine: Engine) -> Iterator[None]:
    """Says of a build that is interrupted if its image is there all the same: it has its tag before its test."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(EnvgenError):
            built = find_built(lock, engine, args.tag or None)
            if doubt := doubt_about(built, workspace, args.tag):
                workspace.reporter.step(f"{built.image.name} is built, but {doubt}")
        raise


def _build_and_test(args: BuildArgs, workspace: Workspace, lock: Lock, engine: Engine, info: EngineInfo) -> int:
    """Builds the image, compares its layers with the record, tests it, pushes it; the exit code."""
    records = records_of(workspace, lock)
    fetch_wheels(workspace, [lock])
    if not (args.no_smoke or args.model):
        fetch_model(workspace, lock)
    build_options = BuildOptions(base=args.base or None, tag=args.tag or None, compression=args.compression, cache=not args.no_cache)
    with _clock() as elapsed:
        built = build_image(workspace, lock, engine, build_options)
    workspace.reporter.step(f"image: {built.image.name}, built in {elapsed():.0f} s, {human_size(built.image.size)} in the engine's store")
    workspace.reporter.step(f"digest: {built.image.digest}")
    for line in _size_lines(built):
        workspace.reporter.step(line)
    layers = check_layers(workspace, built, records, info.versions())
    workspace.reporter.step(layers.headline())
    about = image_json(built, layers, f"{info.versions()}, {args.compression}")
    if args.no_smoke:
        workspace.reporter.step("smoke: NOT RUN (--no-smoke)")
        if args.json:
            print_json(as_json(about, None, None))
        return 0
    report = smoke_test(args, workspace, engine, built, info)

    def push() -> Published:
        _check_passed(report, args.push)
        return publish_image(workspace, built, engine, args.push)

    return conclude(args, about, report, push if args.push else None)


def check_offline(args: BuildArgs, workspace: Workspace, lock: Lock) -> None:
    """Check up front that nothing must be fetched. Raises BuildError for wheels or a locked model, UsageError for --model."""
    require_cached(workspace.store, [lock])
    if args.no_smoke:
        return
    if not args.model:
        require_models(workspace, [lock])
    else:
        cached_model(args.model, workspace.models, workspace.project.model_wheels())


def _check_push(args: BuildArgs) -> None:
    """Raise UsageError up front for options that exclude a push."""
    check_repository(args.push)
    for is_set, option, problem in (
        (args.no_smoke, "--no-smoke", "untested images are not pushed"),
        (args.offline, "--offline", "pushing requires a network"),
    ):
        if is_set:
            raise UsageError(f"--push {args.push}", problem, hint=f"remove {option}")


def _check_passed(report: SmokeReport, repository: str) -> None:
    """Raise SmokeError for an image that did not pass its test."""
    if not report.accepted:
        problem = "failed" if report.failed else "is incomplete"
        raise SmokeError(f"--push {repository}", f"not pushed: the smoke test {problem}", hint="fix the failing checks and rebuild")


def _estimate_line(cost: BuildEstimate) -> str:
    """What a build needs, in one line."""
    download = f"{human_size(cost.download)} to download" if cost.download else "nothing to download"
    disk, duration = f"about {human_size(cost.disk)} of the engine's disk", f"about {cost.seconds} s on two idle cores"
    return f"estimate: {download}, {disk}, {duration}{' plus the download' if cost.download else ''}"


def _size_lines(built: Built) -> Iterator[str]:
    """The size of each layer group, and what a push would send to a registry with the tag's previous image."""
    total, sent = sum(group.size for group in built.groups), sum(group.push for group in built.groups)
    for group in built.groups:
        yield f"layers: {group.name:<14} {human_size(group.size):>8}{'' if group.push else '  as before'}"
    if built.replaced:
        yield f"push: {human_size(sent)} of {human_size(total)}; the rest is in this tag's previous image ({built.replaced[:19]})"
    else:
        yield f"push: up to {human_size(total)} (new tag; the registry may already have some layers)"


@contextmanager
def _clock() -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds since it was created."""
    started = time.monotonic()
    yield lambda: time.monotonic() - started


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_base(parser)
    parser.add_argument("--tag", default="", metavar="NAME", help="the image name (default: envgen/PROFILE:TARGET)")
    parser.add_argument("--no-cache", action="store_true", help="run every step again")
    parser.add_argument("--offline", action="store_true", help="use no network: everything must be cached (see envgen fetch)")
    options.add_compression(parser, "layer compression (default: zstd); gzip is for old registries")
    parser.add_argument("--no-smoke", action="store_true", help="do not test the image")
    options.add_push(parser, "push the image to this repository, REGISTRY/NAME, if its test passes")
    add_test_options(parser)
    options.add_json(parser)


COMMAND = Command(arguments=BuildArgs, add_options=add_options, run=run, example="envgen build cpu-base", shape=SHAPE)
