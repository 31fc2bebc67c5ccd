"""`envgen build` and `envgen smoke`: an image, and what its test says."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict

from envgen.cli import show
from envgen.core.errors import EngineError, EnvgenError, SmokeError, UsageError
from envgen.doctor.finding import PROBLEM, Finding
from envgen.doctor.machine import driver
from envgen.engine import EngineInfo
from envgen.engine.docker import DockerEngine
from envgen.engine.gpus import find_gpus
from envgen.engine.interface import REFERENCE
from envgen.image.build import BuildOptions, Built, build_image, find_built
from envgen.image.estimate import check_disk, check_platform, estimate_build
from envgen.image.layer_record import LayerComparison, check_layers, records_of
from envgen.image.publish import check_repository, publish_image
from envgen.lock import Lock, project
from envgen.lock.project import require_cached
from envgen.offline.fetch import fetch_model, fetch_wheels
from envgen.offline.model_files import require_models
from envgen.smoke import memory, run
from envgen.smoke.find_model import ModelChoice, cached_model, choose_model
from envgen.smoke.report import SmokeReport
from envgen.workspace import Workspace


def build(options: argparse.Namespace, workspace: Workspace) -> int:
    for option, reference in (("--tag", options.tag), ("--base", options.base)):
        if reference and not REFERENCE.fullmatch(reference):
            raise UsageError(option, f"found {reference!r}, expected an image's name", hint="as in registry.example/team/image:1.0")
    workspace = workspace.offline() if options.offline else workspace
    profile = workspace.project.profile(options.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(options.target))
    if workspace.settings.offline:
        check_offline(options, workspace, lock)
    if options.push:
        check_push(options)
    engine = DockerEngine(workspace.settings)
    info = engine.check()
    check_gpus(options, lock, info, _driver(workspace, lock))
    workspace.reporter.step(f"engine: {info.versions()}")
    workspace.reporter.step(show.estimate(estimate_build(workspace, lock)))
    check_platform(lock, info)
    check_disk(workspace, lock, info)
    records = records_of(workspace, lock)
    fetch_wheels(workspace, [lock])
    if not (options.no_smoke or options.model):
        fetch_model(workspace, lock)
    with show.clock() as elapsed:
        asked = BuildOptions(
            base=options.base or None, tag=options.tag or None, compression=options.compression, cache=not options.no_cache
        )
        built = build_image(workspace, lock, engine, asked)
    workspace.reporter.step(f"image: {built.image.name}, built in {elapsed():.0f} s, {show.size(built.image.size)} in the engine's store")
    workspace.reporter.step(f"digest: {built.image.digest}")
    for line in show.push(built):
        workspace.reporter.step(line)
    layers = check_layers(workspace, built, records, info.versions())
    workspace.reporter.step(layers.headline())
    about = _image_json(built, layers, f"{info.versions()}, {options.compression}")
    if options.no_smoke:
        workspace.reporter.step("smoke: NOT RUN (--no-smoke)")
        if options.json:
            print(json.dumps({**about, "smoke": None, "published": None}, indent=2))
        return 0
    return _test(options, workspace, (engine, info), built, about)


def smoke(options: argparse.Namespace, workspace: Workspace) -> int:
    profile = workspace.project.profile(options.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(options.target))
    engine = DockerEngine(workspace.settings)
    info = engine.check()
    check_gpus(options, lock, info, _driver(workspace, lock))
    built = find_built(lock, engine, options.image)
    fetch_wheels(workspace, [lock])
    if not options.model:
        fetch_model(workspace, lock)
    return _test(options, workspace, (engine, info), built, _image_json(built, None, ""))


def check_offline(options: argparse.Namespace, workspace: Workspace, lock: Lock) -> None:
    """Raises before anything is done: BuildError for wheels or a locked model that would have to be fetched, UsageError for --model."""
    require_cached(workspace.store, [lock])
    if options.no_smoke:
        return
    if not options.model:
        require_models(workspace, [lock])
    else:
        cached_model(options.model, workspace.models, workspace.project.model_wheels())


def check_push(options: argparse.Namespace) -> None:
    """Raises UsageError for a push that can't be, before anything is built."""
    check_repository(options.push)
    for name, problem in (
        ("no_smoke", "nothing is pushed that was not tested"),
        ("offline", "a registry can't be reached without a network"),
    ):
        if getattr(options, name):
            raise UsageError(f"--push {options.push}", problem, hint=f"leave --{name.replace('_', '-')} out")


def check_passed(report: SmokeReport, repository: str) -> None:
    """Raises SmokeError for an image that failed: it is not pushed."""
    if report.failed:
        raise SmokeError(f"--push {repository}", "not pushed: the smoke test failed", hint="mend what failed, then build again")


def _driver(workspace: Workspace, lock: Lock) -> Finding | None:
    """What there is to say of this machine's driver, for a lock with CUDA."""
    return driver(lock, find_gpus(workspace.settings.environment()), workspace.project.toolkit()) if lock.cuda else None


def check_gpus(options: argparse.Namespace, lock: Lock, info: EngineInfo, found: Finding | None) -> None:
    """Raises UsageError, EngineError or SmokeError where the GPUs that are asked for can't be used in a test, before it begins.

    `found` is what there is to say of this machine's driver.
    """
    asked = "--require-gpu" if options.require_gpu else f"--gpus {options.gpus}" if options.gpus else ""
    if asked and "gpu" not in lock.tiers:
        raise UsageError(asked, f"{lock.profile} has no gpu tier", hint="take a profile with CUDA: cuda, bnb-quant")
    if asked and getattr(options, "no_smoke", False):
        raise UsageError(asked, "without a smoke test there is nothing to run on a GPU", hint="leave --no-smoke out")
    if asked and not info.gpus:
        kind = SmokeError if options.require_gpu else EngineError
        raise kind(asked, "the gpu tier can't run: the engine has no runtime that passes GPUs into a container", hint=info.gpu_cure)
    # An engine on another machine has another driver.
    if asked and info.data_root and found and found.status == PROBLEM:
        raise EngineError(asked, f"the gpu tier can't run: the driver is too old: {found.found}", hint=found.cure)


def _test(
    options: argparse.Namespace, workspace: Workspace, checked: tuple[DockerEngine, EngineInfo], built: Built, about: Mapping[str, object]
) -> int:
    """Tests `built`, and publishes it where that is asked for; `about` is what there is to say of it in JSON."""
    engine, info = checked
    gpus = options.gpus or ("all" if options.require_gpu else "")
    hint = "add --gpus all" if info.gpus and not gpus else ""
    subject = run.ImageUnderTest(image=built.image, lock=built.lock, python=built.python, base=built.base)
    model = choose_model(ModelChoice(name=options.model, prompt=options.prompt, expect=options.expect), workspace, engine, subject)
    said = f"model: {model.name}, {model.digest}" if model.digest else ""
    for line in (said, memory.summary(model.folder), memory.warning(model.folder, options.memory or info.memory)):
        if line:
            workspace.reporter.step(line)
    limits = {"memory": options.memory, "check_limit": options.check_limit or run.CHECK_LIMIT}
    report = run.smoke(workspace, engine, subject, model, run.SmokeOptions(gpus=gpus, gpu_hint=hint, **limits))
    if not options.json:
        show.report(report)
    error: EnvgenError | None = None
    published = None
    try:
        if options.require_gpu and "gpu" in report.idle:
            raise SmokeError("--require-gpu", "the gpu tier was not run", hint=f"see what is missing: envgen doctor {report.profile}")
        if getattr(options, "push", ""):
            check_passed(report, options.push)
            published = publish_image(workspace, built, engine, options.push)
    except EnvgenError as found:
        error = found
    if options.json:
        print(json.dumps({**about, "smoke": report.as_json(), "published": published and asdict(published)}, indent=2))
    elif published:
        show.published(published)
    if error:
        raise error
    return SmokeError.exit_code if report.failed else 0


def _image_json(built: Built, layers: LayerComparison | None, built_with: str) -> dict[str, object]:
    """What was built: the image, and for a new one its layer groups with the bytes that a push would send, and what is recorded of them."""
    return {
        "image": asdict(built.image),
        "layers": [asdict(group) for group in built.groups],
        "push": sum(group.push for group in built.groups),
        "replaced": built.replaced or "",
        "recorded": layers and layers.as_json(),
        "built_with": built_with,
    }
