"""`envgen smoke`: tests an image. Also the smoke test at the end of `envgen build`."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import EngineError, EnvgenError, SmokeError, UsageError
from envgen.core.text import pluralize, printable
from envgen.doctor import Finding, driver
from envgen.doctor.finding import PROBLEM
from envgen.engine import Engine, EngineInfo
from envgen.engine.gpus import find_gpus
from envgen.image import Built, LayerComparison, find_built
from envgen.image.publish import Published
from envgen.lock import Lock, project
from envgen.offline import fetch_model, fetch_wheels
from envgen.smoke import ModelChoice, SmokeReport, choose_model, memory
from envgen.smoke import run as smoke_run
from envgen.smoke.report import FAILED, NOT_APPLICABLE, NOT_RUN, PASSED
from envgen.smoke.tested import LastTest, note_test, was_tested
from envgen.workspace import Workspace

RECORDED_SHAPE = '{"headline", "python", "built_with", "same": [layer], "wrong": [[layer, expected, found]], "not_compared": [text]}'

IMAGE_SHAPE = f"""\
"image": {{"name", "digest", "size": bytes, "labels": {{name: text}}, "platform", "diff_ids": [digest]}}, "layers": [{{"name", "digest",
"size": bytes, "push": bytes}}], "push": bytes, "replaced": digest, "recorded": {RECORDED_SHAPE} | null, "built_with\""""

REPORT_SHAPE = """\
report: {"headline", "verdict", "states": {tier: "passed" | "failed" | "incomplete" | "not run"}, "profile", "target", "image", "digest",
"base", "overridden": boolean, "base_matches": boolean | null, "python", "model", "model_digest", "tiers": [text], "results": [{"tier",
"name", "status": "passed" | "failed" | "not run" | "not applicable", "seconds": number, "peak_memory": bytes, "detail", "error", "cause",
"cure"}]}"""

SHAPE = f'{{{IMAGE_SHAPE}, "smoke": report, "published": null}}\n{REPORT_SHAPE}'

MARKS = {PASSED: "ok", FAILED: "FAILED", NOT_RUN: "not run", NOT_APPLICABLE: "n/a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTestArgs:
    """The options of a smoke test, for `build` and `smoke`; `memory` is in bytes, 0 for no limit."""

    profile: str
    target: str
    model: str
    prompt: str
    expect: str
    memory: int
    check_limit: float | None
    gpus: str | None
    require_gpu: bool
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeArgs(SmokeTestArgs):
    """The arguments of `envgen smoke`."""

    image: str


def run(args: SmokeArgs, workspace: Workspace) -> int:
    profile = workspace.project.chosen_profile(args.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(args.target))
    engine = make_engine(workspace.settings)
    info = engine.check()
    check_gpus(args, lock, info, driver_of(workspace, lock))
    built = find_built(lock, engine, args.image)
    fetch_wheels(workspace, [lock])
    if not args.model:
        fetch_model(workspace, lock)
    return conclude(args, image_json(built, None, ""), smoke_test(args, workspace, engine, built, info))


def driver_of(workspace: Workspace, lock: Lock) -> Finding | None:
    """The doctor's finding on this machine's driver; None for a lock without CUDA."""
    return driver(lock, find_gpus(workspace.settings.environment()), workspace.project.toolkit()) if lock.cuda else None


def check_gpus(args: SmokeTestArgs, lock: Lock, info: EngineInfo, installed: Finding | None, *, no_smoke: bool = False) -> None:
    """Raise UsageError, EngineError or SmokeError up front if the test can't use the requested GPUs.

    `installed` is the doctor's finding on this machine's driver.
    """
    option = "--require-gpu" if args.require_gpu else f"--gpus {args.gpus}" if args.gpus else ""
    if option and "gpu" not in lock.tiers:
        raise UsageError(option, f"{lock.profile} has no gpu tier", hint="use a profile with CUDA: cuda, bnb-quant")
    if option and no_smoke:
        raise UsageError(option, "nothing runs on a GPU without a smoke test", hint="remove --no-smoke")
    if option and not info.gpus:
        kind = SmokeError if args.require_gpu else EngineError
        raise kind(option, "the gpu tier can't run: the engine can't pass GPUs to containers", hint=info.gpu_cure)
    # An engine on another machine has another driver.
    if option and info.data_root and installed and installed.status == PROBLEM:
        raise EngineError(option, f"the gpu tier can't run: the driver is too old: {installed.found}", hint=installed.cure)


def smoke_test(args: SmokeTestArgs, workspace: Workspace, engine: Engine, built: Built, info: EngineInfo) -> SmokeReport:
    """Test an image and print the report, unless --json prints it later."""
    gpus = args.gpus or ("all" if args.require_gpu else "")
    limits = smoke_run.SmokeOptions(
        gpus=gpus,
        gpu_hint="add --gpus all" if info.gpus and not gpus else "",
        memory=args.memory,
        check_limit=args.check_limit or smoke_run.CHECK_LIMIT,
    )
    subject = smoke_run.ImageUnderTest(
        image=built.image, lock=built.lock, python=built.python, base=built.base, base_matches=built.base_matches
    )
    model = choose_model(ModelChoice(name=args.model, prompt=args.prompt, expect=args.expect), workspace, engine, subject)
    identity = f"model: {model.name}, {model.digest}" if model.digest else ""
    for line in (identity, memory.summary(model.folder), memory.warning(model.folder, args.memory or info.memory)):
        if line:
            workspace.reporter.step(line)
    report = smoke_run.smoke(workspace, engine, subject, model, limits)
    note_test(workspace.settings.cache, report)
    if not args.json:
        print_lines(report_lines(report))
    return report


def doubt_about(built: Built, workspace: Workspace, name: str) -> str:
    """What is to be said of an image that did not pass its test here, with the cure; empty for one that did. `name` is as it was given."""
    tested = was_tested(workspace.settings.cache, built.image.digest)
    if tested == LastTest.PASSED:
        return ""
    return f"{tested}: envgen smoke {built.lock.profile}{f' --image {name}' if name else ''}"


def conclude(args: SmokeTestArgs, about: Mapping[str, object], report: SmokeReport, push: Callable[[], Published] | None = None) -> int:
    """Push the image if `push` is given, and print the result, even before raising an error; return the exit code.

    `about` is the image as from `image_json`.
    """
    error: EnvgenError | None = None
    published = None
    try:
        if args.require_gpu and "gpu" in report.idle:
            raise SmokeError("--require-gpu", "the gpu tier did not run", hint=f"see what is missing: envgen doctor {report.profile}")
        if push:
            published = push()
    except EnvgenError as raised:
        error = raised
    if args.json:
        print_json(as_json(about, report, published))
    elif published:
        print_lines(_published_lines(published))
    if error:
        raise error
    return 0 if report.accepted else SmokeError.exit_code


def as_json(about: Mapping[str, object], report: SmokeReport | None, published: Published | None) -> Mapping[str, object]:
    """An image as from `image_json`, the report of its test, and what was pushed."""
    return {**about, "smoke": report and report.as_json(), "published": published and asdict(published)}


def image_json(built: Built, layers: LayerComparison | None, built_with: str) -> Mapping[str, object]:
    """An image as JSON; a new one with its layer groups, what a push would send, and the comparison with its record."""
    return {
        "image": {key: value for key, value in asdict(built.image).items() if key != "environment"},
        "layers": [asdict(group) for group in built.groups],
        "push": sum(group.push for group in built.groups),
        "replaced": built.replaced or "",
        "recorded": layers and layers.as_json(),
        "built_with": built_with,
    }


def report_lines(report: SmokeReport) -> Iterator[str]:
    """The smoke table; its first line names what did not run."""
    yield f"smoke {report.profile} {report.target}: {report.headline()}"
    yield f"image {report.image} {report.digest}"
    model = f"{report.model} ({report.model_digest})" if report.model_digest else report.model
    # A newline in a label could forge a line of the report.
    yield f"base  {printable(report.base)}, Python {printable(report.python)}{_base_note(report)}; model {model}"
    yield ""
    width = max((len(result.name) for result in report.results), default=0)
    for result in report.results:
        # The same unit in the whole column.
        peak = f"{result.peak_memory / 1e6:6.0f} MB" if result.peak_memory else "        -"
        line = f"  {result.tier:<7}{result.name:<{width}}  {MARKS[result.status]:<8}{result.seconds:6.1f} s {peak}  "
        first, *more = result.detail.splitlines() or [""]
        yield (line + first).rstrip()
        for text in (*more, *(f"{key}: {value}" for key, value in (("cause", result.cause), ("cure", result.cure)) if value)):
            yield " " * len(line) + text
    yield ""
    yield f"smoke {report.profile}: {report.verdict()} ({report.headline()})"


def _base_note(report: SmokeReport) -> str:
    """The note beside the base's name."""
    if report.base_matches is False:
        return " (NOT the base of this image: it has other layers)"
    override = " (NOT the locked base)" if report.overridden else ""
    return override + (" (as the image says, not checked)" if report.base_matches is None else "")


def _published_lines(published: Published) -> Iterator[str]:
    """What was pushed: each tag with its digest, and the platforms of the multi-platform tag."""
    for tag in published.tags:
        sent = f"{pluralize(len(tag.sent), 'layer')} sent" if tag.sent else "no layers sent"
        yield f"pushed {tag.reference}: {tag.digest} ({sent})"
    absent = f"; NOT included, no image of their current lock there: {', '.join(published.absent)}" if published.absent else ""
    yield f"pushed {published.index}: {', '.join(published.platforms)}{absent}"


def add_test_options(parser: ArgumentParser) -> None:
    """Add the options of SmokeTestArgs except the profile, its target and --json."""
    options.add_model(
        parser,
        "a folder, wheel:NAME==VERSION, hub:ORG/NAME@REVISION, or embedded: a small model that comes with envgen "
        "(default: the locked one, else embedded)",
    )
    parser.add_argument("--prompt", default="", metavar="TEXT", help="the prompt for the model")
    parser.add_argument("--expect", default="", metavar="TEXT", help="text that the answer must contain")
    parser.add_argument(
        "--memory", type=options.size, default=0, metavar="SIZE", help="memory limit of the test, as in 8GB (default: none)"
    )
    parser.add_argument(
        "--check-limit", type=options.seconds, default=None, metavar="SECONDS", help="time limit of each check (default: 1800)"
    )
    parser.add_argument(
        "--gpus", type=options.gpus, default=None, metavar="GPUS", help="the GPUs for the gpu tier: all, or numbers as in 0,1"
    )
    parser.add_argument("--require-gpu", action="store_true", help="exit 7 if the gpu tier did not run (implies --gpus all)")


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_image(parser)
    add_test_options(parser)
    options.add_json(parser, "the report as JSON")


COMMAND = Command(arguments=SmokeArgs, add_options=add_options, run=run, example="envgen smoke cpu-base --model ./my-model", shape=SHAPE)
