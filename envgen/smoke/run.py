"""Runs the probe's phases in an image and collects their results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envgen.core.progress import Reporter
from envgen.core.tempdirs import temp_dir
from envgen.core.text import first_few
from envgen.engine import Image, RunRequest, RunResult, Runtime
from envgen.lock import Lock
from envgen.lock.render import PREFIX
from envgen.oci.documents import parse_json
from envgen.profiles import Diagnosis, diagnose
from envgen.smoke.expected_files import expected_tree
from envgen.smoke.model import EMBEDDED, Model
from envgen.smoke.plan import Plan, PlannedCheck, plan_of
from envgen.smoke.report import FAILED, NOT_APPLICABLE, NOT_RUN, PASSED, CheckResult, SmokeReport, read_result
from envgen.sources import WheelStore
from envgen.workspace import Workspace

PROBE = Path(__file__).parent / "probe"
PHASES = {
    "static": (("static-files", ("-I", "-S")), ("static-imports", ("-I",))),
    "cpu": (("cpu", ("-I",)),),
    "quant": (("quant", ("-I",)),),
    "gpu": (("gpu", ("-I",)),),
}
"""The probe's phases for each tier, with the interpreter's flags: the files are checked before `site` can run any of them."""

OFFLINE = {
    "HOME": "/tmp",  # noqa: S108  (a path in the container)
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


PYTHON = f"{PREFIX}/bin/python"
PATH = f"{PREFIX}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

RECIPE = {"PATH": PATH, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}  # noqa: S108  (a path in the container)
"""What the Dockerfile sets. Of what an image says it sets, a probe gets nothing."""

NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void", "CUDA_VISIBLE_DEVICES": ""}
"""For all tiers but `gpu`: if NVIDIA's runtime is the engine's default, a GPU would be visible and used."""


CHECK_LIMIT = 1800.0
"""Seconds that a check may take. Otherwise a process that is always just below its memory limit might never end."""

_EVENTS = frozenset(("plan", "start", "check", "end"))
MOST_REPORTED = 32_000_000
"""The most characters kept of a probe's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUnderTest:
    """The image to test, the lock it was built from, its Python, and its base, as the image says or as it was built just now.

    `base_matches` is whether the lowest layers of the image are those of that base; None where the engine does not have it.
    """

    image: Image
    lock: Lock
    python: str
    base: str
    base_matches: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeOptions:
    """What the caller chose: the GPUs that the tier `gpu` is given, as in a RunRequest, and the limits of a test.

    `gpu_hint` is what to do if no GPU is visible, as far as that is known; `memory` is what a test may take at most, in bytes (0: all),
    and `check_limit` how long a check may, in seconds.
    """

    gpus: str = ""
    gpu_hint: str = ""
    memory: int = 0
    check_limit: float = CHECK_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRequest:
    """One run of the probe: its phase, the tier of its results, the checks that it must report, its container, and its job."""

    phase: str
    tier: str
    plan: Plan
    container: RunRequest
    job: Mapping[str, object]


def smoke(workspace: Workspace, engine: Runtime, subject: ImageUnderTest, model: Model, options: SmokeOptions) -> SmokeReport:
    """Runs every tier of the lock in the image.

    Raises EngineError when the engine does not answer; a failed check is data in the report.
    """
    lock = subject.lock
    diagnoses = workspace.project.diagnoses()
    results: list[CheckResult] = []
    for tier in lock.tiers:
        for phase, flags in PHASES.get(tier, ()):
            container = replace(_container((*flags, "/envgen/probe", phase), subject, model), memory=options.memory or None)
            container = replace(container, quiet=options.check_limit)
            if tier == "gpu":
                container = replace(container, environment=probe_environment(lock), gpus=options.gpus or None)
            job = {**_job(phase, subject, model, workspace.store), "gpu_hint": options.gpu_hint or None}
            plan = plan_of(phase, lock, model)
            request = PhaseRequest(phase=phase, tier=tier, plan=plan, container=container, job=job)
            results += run_phase(request, engine, workspace.reporter)
    return SmokeReport(
        profile=lock.profile,
        target=lock.target.slug,
        image=subject.image.name,
        digest=subject.image.digest,
        base=subject.base,
        overridden=subject.base != lock.base or subject.python != lock.python or subject.base_matches is False,
        base_matches=subject.base_matches,
        python=subject.python,
        model=model.name,
        model_digest=model.digest,
        tiers=lock.tiers,
        results=tuple(_diagnosed(result, lock.profile, diagnoses) for result in results),
    )


def probe_environment(lock: Lock) -> Mapping[str, str]:
    """The variables that a probe gets in an image of `lock`, and no others."""
    return {**RECIPE, **dict(lock.env), **OFFLINE}


def _container(arguments: tuple[str, ...], subject: ImageUnderTest, model: Model) -> RunRequest:
    return RunRequest(
        # By digest: while this goes on, the name may come to mean another image.
        image=subject.image.digest,
        command=(PYTHON, *arguments),
        mounts=((PROBE, "/envgen/probe", False), (EMBEDDED, "/envgen/embedded", False), (model.folder, "/envgen/model", False)),
        environment={**probe_environment(subject.lock), **NO_GPU},
        clear_environment=True,
    )


def _job(phase: str, subject: ImageUnderTest, model: Model, store: WheelStore) -> Mapping[str, object]:
    """The probe's job: for the static phases what must be there, for the others which model to load."""
    lock = subject.lock
    if phase == "static-files":
        store.verify(lock.wheels)
        tree = expected_tree([store.path(wheel.sha256, wheel.file) for wheel in lock.wheels], python=subject.python)
        return {
            "expected": tree.to_json(),
            "prefix": PREFIX,
            "python": subject.python,
            "distributions": {wheel.name: wheel.version for wheel in lock.wheels},
        }
    locked = {"cuda": lock.cuda or None, "driver": lock.driver or None, "bitsandbytes": lock.package("bitsandbytes") is not None}
    if phase == "static-imports":
        torch = lock.package("torch")
        libraries = subject.image.environment.get("LD_LIBRARY_PATH")
        return {"prefix": PREFIX, "torch": torch.wheel.version if torch else None, "library_path": libraries, **locked}
    # The embedded model at both places is one and the same to the probe.
    place = "/envgen/embedded" if model.folder == EMBEDDED else "/envgen/model"
    answers = {"recorded": model.recorded, "prompt": model.prompt or None, "expect": model.expect or None}
    # What quantizing saves is said of 16 bits, whatever the model's own dtype is.
    dtype = "bfloat16" if phase == "quant" else None
    return {"model": place, "embedded": "/envgen/embedded", "dtype": dtype, **answers, **locked}


def run_phase(request: PhaseRequest, engine: Runtime, reporter: Reporter) -> list[CheckResult]:
    """The results of one phase. What a probe that died did not get to is reported as not run."""
    events: list[Mapping[str, object]] = []
    left = MOST_REPORTED

    def on_line(line: str) -> None:
        nonlocal left
        try:
            event = parse_json(line)
        except ValueError:
            return  # a partial line of a killed probe; `collect` notices what is missing
        # Anything else was printed by a package on import; of endless output, the end is missing.
        if not isinstance(event, dict) or event.keys().isdisjoint(_EVENTS) or left < len(line):
            return
        left -= len(line)
        events.append(event)
        if "start" in event:
            reporter.detail(f"{request.tier}: {event['start']}")

    with temp_dir("job") as folder:
        file = folder / "job.json"
        file.write_text(json.dumps(request.job), encoding="utf-8")
        file.chmod(0o644)
        mounts = (*request.container.mounts, (file, "/envgen/job.json", False))
        ended = engine.run(replace(request.container, mounts=mounts), on_line)
    return collect(request, events, ended)


def collect(request: PhaseRequest, events: Sequence[Mapping[str, object]], ended: RunResult) -> list[CheckResult]:
    """One result for each planned check: as reported, or what became of it when the probe died; what the probe plans does not count.

    What is reported beside the plan is a failure, and so is a report without its end.
    """
    tier, phase, reason = request.tier, request.phase, _death(ended)
    reported = _reported(events, tier)
    whole = any(event.get("end") == phase for event in events)
    started = {str(event["start"]) for event in events if "start" in event}
    results = []
    failed = CheckResult(tier=tier, name=phase, status=FAILED, detail=reason, error=ended.stderr)
    planned = {check.name for check in request.plan} | {check.instead for check in request.plan}
    # A phase that can't begin is one failed check of its name.
    if phase not in planned and phase in reported and reported[phase].status == FAILED:
        results.append(reported.pop(phase))
    for check in request.plan:
        name = check.instead if check.instead in reported and check.name not in reported else check.name
        assert name is not None
        found = reported.pop(name, None)
        if found:
            results.append(_applied(found, check))
        elif results and results[0].name == phase:
            results.append(CheckResult(tier=tier, name=name, status=NOT_RUN, detail="the phase could not begin"))
        elif whole:
            results.append(replace(failed, name=name, detail="the probe did not report it", error=""))
        elif name in started or check.instead in started:
            results.append(replace(failed, name=name))
        else:
            results.append(CheckResult(tier=tier, name=name, status=NOT_RUN, detail=f"the probe ended before it: {reason}"))
    if reported:
        results.append(replace(failed, detail=f"the probe reported what is not in the plan: {first_few(list(reported), 3)}", error=""))
    if not whole and not any(result.status == FAILED for result in results):
        results.append(failed)
    return results


def _reported(events: Sequence[Mapping[str, object]], tier: str) -> dict[str, CheckResult]:
    """What `events` say of checks, by name; a failure of each that is reported twice."""
    reported: dict[str, CheckResult] = {}
    for result in (read_result(event, tier) for event in events if "check" in event):
        twice = replace(result, status=FAILED, detail="the probe reported it twice")
        reported[result.name] = twice if result.name in reported else result
    return reported


def _applied(found: CheckResult, check: PlannedCheck) -> CheckResult:
    """What is reported of `check`; where the lock leaves it nothing to look at, that it was not run is as it should be."""
    if found.status == NOT_RUN and check.not_applicable:
        return replace(found, status=NOT_APPLICABLE, detail=check.not_applicable)
    return found


def worst_of(results: Sequence[CheckResult]) -> CheckResult:
    """The first of `results` that is no pass, else the first."""
    return next((result for result in results if result.status != PASSED), results[0])


def _death(ended: RunResult) -> str:
    """Why a container ended early."""
    if ended.stalled:
        return "killed: it ran longer than --check-limit allows; give it more time or memory, or use a smaller model"
    if ended.out_of_memory or ended.code == 137:
        return "out of memory: give the engine more, or use a smaller model"
    last = [line for line in ended.stderr.strip().splitlines() if line.strip()][-1:]
    return f"the probe ended with code {ended.code}" + (f": {last[0].strip()}" if last else "")


def _diagnosed(result: CheckResult, profile: str, diagnoses: Sequence[Diagnosis]) -> CheckResult:
    """A failed result with the cause and cure from the error tables, if they match."""
    diagnosis = diagnose(f"{result.detail}\n{result.error}", diagnoses) if result.status == FAILED else None
    return replace(result, cause=diagnosis.cause, cure=diagnosis.cure.replace("PROFILE", profile)) if diagnosis else result
