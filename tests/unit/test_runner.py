"""envgen.smoke.run: what becomes of a probe's report, whole or cut short at any line."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from samples import make_wheel, sample_lock

from envgen.core.errors import VerificationError
from envgen.core.settings import read_settings
from envgen.engine import Image, RunRequest, RunResult
from envgen.engine.interface import OnLine
from envgen.lock import Lock
from envgen.profiles import Project
from envgen.smoke import ImageUnderTest, SmokeOptions, SmokeReport, smoke
from envgen.smoke import run as runner
from envgen.smoke.model import embedded_model
from envgen.smoke.plan import PlannedCheck, checks_named, plan_of
from envgen.smoke.report import FAILED, NOT_APPLICABLE, NOT_RUN, PASSED, CheckResult
from envgen.smoke.run import PHASES, PhaseRequest, run_phase
from envgen.workspace import Workspace

Event = dict[str, object]
WELL = RunResult(code=0, out_of_memory=False, stderr="")
KILLED = RunResult(code=137, out_of_memory=True, stderr="")
CRASHED = RunResult(code=139, out_of_memory=False, stderr="noise\nSegmentation fault\n\n")


def events(*names: str, status: str = PASSED) -> list[Event]:
    found: list[Event] = [{"plan": list(names)}]
    for name in names:
        found.append({"start": name})
        found.append({"check": name, "status": status, "seconds": 1.0, "peak_memory": 5, "detail": "d", "error": ""})
    return [*found, {"end": "cpu"}]


def request(*names: str, phase: str = "cpu") -> PhaseRequest:
    """A run of which these checks are planned."""
    container = RunRequest(image="x", command=("x",), environment={})
    return PhaseRequest(phase=phase, tier="cpu", plan=checks_named(*names), container=container, job={})


def collect(names: str, reported: list[Event], ended: RunResult) -> list[CheckResult]:
    """What becomes of a report where the checks of these letters are planned."""
    return runner.collect(request(*names), reported, ended)


def statuses(found: list[CheckResult]) -> dict[str, str]:
    return {result.name: result.status for result in found}


def test_a_whole_report_is_taken_as_it_is() -> None:
    found = collect("ab", events("a", "b"), WELL)
    assert found[0] == CheckResult(tier="cpu", name="a", status=PASSED, seconds=1.0, peak_memory=5, detail="d")
    assert statuses(found) == {"a": PASSED, "b": PASSED}


@pytest.mark.parametrize("cut", range(8))
@pytest.mark.parametrize("ended", [WELL, KILLED, CRASHED], ids=["well", "killed", "crashed"])
def test_a_report_that_ends_early_is_never_a_pass(cut: int, ended: RunResult) -> None:
    whole = events("a", "b", "c")
    assert len(whole) == 8
    found = collect("abc", whole[:cut], ended)
    assert any(result.status == FAILED for result in found)
    assert not all(result.status == PASSED for result in found)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_report_of_checks_that_did_not_run_is_no_pass_either_when_it_ends_early(cut: int) -> None:
    found = collect("abc", events("a", "b", "c", status=NOT_RUN)[:cut], CRASHED)
    assert any(result.status == FAILED for result in found)


def test_the_check_that_was_running_failed_and_the_rest_did_not_run() -> None:
    found = collect("abc", events("a", "b", "c")[:4], KILLED)
    assert statuses(found) == {"a": PASSED, "b": FAILED, "c": NOT_RUN}
    assert found[1].detail == "out of memory: give the engine more, or use a smaller model"
    assert found[2].detail.startswith("the probe ended before it: out of memory")


def test_the_last_words_are_kept() -> None:
    first, found = collect("a", [], CRASHED)
    assert (first.name, first.status) == ("a", NOT_RUN)
    assert (found.name, found.status) == ("cpu", FAILED)
    assert found.detail == "the probe ended with code 139: Segmentation fault"
    assert found.error == CRASHED.stderr


def test_a_kill_is_taken_for_lack_of_memory_even_when_the_engine_does_not_say_so() -> None:
    found = collect("a", [], RunResult(code=137, out_of_memory=False, stderr=""))[-1]
    assert "out of memory" in found.detail


def test_a_kill_by_the_watchdog_is_not_taken_for_lack_of_memory() -> None:
    found = collect("a", [], RunResult(code=137, out_of_memory=False, stderr="", stalled=True))[-1]
    assert "--check-limit" in found.detail
    assert "out of memory" not in found.detail


def test_the_end_of_another_phase_is_no_end() -> None:
    found = collect("a", [*events("a")[:-1], {"end": "static-files"}], WELL)
    assert any(result.status == FAILED for result in found)


def test_a_failure_is_not_reported_twice() -> None:
    whole = events("a", "b")
    whole[2]["status"] = FAILED
    assert statuses(collect("ab", whole, WELL)) == {"a": FAILED, "b": PASSED}


MALFORMED: dict[str, Event] = {
    "a field more": {"envgen_poison": 1},
    "a tier": {"tier": "gpu"},
    "a cause": {"cause": "x"},
    "a cure": {"cure": "rm -rf"},
    "seconds that are a text": {"seconds": "abc"},
    "seconds that are no number": {"seconds": float("nan")},
    "seconds without end": {"seconds": float("inf")},
    "seconds below nothing": {"seconds": -1.0},
    "seconds that are true": {"seconds": True},
    "no seconds": {"seconds": None},
    "memory with a fraction": {"peak_memory": 1.5},
    "memory that is a text": {"peak_memory": "5"},
    "memory beyond all": {"peak_memory": 10**400},
    "another status": {"status": "skipped"},
    "a status that is a list": {"status": [PASSED]},
    "no status": {"status": None},
    "a detail that is a number": {"detail": 5},
    "a detail that is a list": {"detail": ["a"]},
    "an error that is an object": {"error": {}},
    "a name for a terminal": {"\x1b[2J": 1},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_report_that_is_malformed_is_a_failure_of_its_check_alone(name: str) -> None:
    whole = events("a", "b")
    whole[2] |= MALFORMED[name]
    found = collect("ab", whole, WELL)
    assert statuses(found) == {"a": FAILED, "b": PASSED}
    assert found[0].detail.startswith("the probe's report is malformed: found ")
    assert found[0].detail.isprintable()
    assert len(found[0].detail) < 200
    assert (found[0].tier, found[0].cause, found[0].cure) == ("cpu", "", "")


def test_a_report_without_a_status_is_a_failure() -> None:
    whole = events("a")
    del whole[2]["status"]
    assert statuses(collect("a", whole, WELL)) == {"a": FAILED}


def test_a_check_that_is_reported_twice_is_a_failure() -> None:
    whole = events("a", status=FAILED)
    whole[3:3] = events("a")[2:3]
    (found,) = collect("a", whole, WELL)
    assert (found.status, found.detail) == (FAILED, "the probe reported it twice")


@pytest.mark.parametrize("name", [None, 5, [], {"a": 1}])
def test_what_is_reported_of_no_check_is_no_pass(name: object) -> None:
    whole = events("a")
    whole[2]["check"] = name
    assert statuses(collect("a", whole, WELL)) == {"a": FAILED, "cpu": FAILED}


@pytest.mark.parametrize("plan", [None, 5, "a", {}, [], [[]], [None]])
def test_a_plan_that_is_none_is_no_pass(plan: object) -> None:
    found = collect("a", [{"plan": plan}, {"end": "x"}], WELL)
    assert any(result.status == FAILED for result in found)


def test_a_long_text_is_cut() -> None:
    whole = events("a")
    whole[2] |= {"detail": "d" * 1_000_000, "error": "e" * 1_000_000}
    (found,) = collect("a", whole, WELL)
    assert (len(found.detail), len(found.error)) == (100_000, 100_000)


def test_what_the_image_plans_does_not_count() -> None:
    found = collect("ab", [{"plan": []}, {"end": "cpu"}], WELL)
    assert statuses(found) == {"a": FAILED, "b": FAILED}
    assert {result.detail for result in found} == {"the probe did not report it"}
    assert statuses(collect("ab", events("a"), WELL)) == {"a": PASSED, "b": FAILED}


def test_a_check_beside_the_plan_is_a_failure() -> None:
    found = collect("a", events("a", "b", "c", "d", "e"), WELL)
    assert statuses(found) == {"a": PASSED, "cpu": FAILED}
    assert found[-1].detail == "the probe reported what is not in the plan: b, c, d, and 1 more"


def test_a_phase_that_passes_as_a_whole_is_beside_the_plan() -> None:
    assert statuses(collect("a", events("a", "cpu"), WELL)) == {"a": PASSED, "cpu": FAILED}


def test_a_phase_that_could_not_begin_is_one_failure() -> None:
    found = collect("ab", events("cpu", status=FAILED), WELL)
    assert statuses(found) == {"cpu": FAILED, "a": NOT_RUN, "b": NOT_RUN}
    assert [result.detail for result in found] == ["d", "the phase could not begin", "the phase could not begin"]


def test_a_check_that_the_lock_leaves_nothing_to_look_at_is_not_applicable() -> None:
    plan = (PlannedCheck(name="a", not_applicable="the lock has no torch"), PlannedCheck(name="b"))
    for status, expected in ((NOT_RUN, NOT_APPLICABLE), (FAILED, FAILED)):
        found = runner.collect(replace(request(), plan=plan), events("a", "b", status=status), WELL)
        assert statuses(found) == {"a": expected, "b": status}
    (found,) = runner.collect(replace(request(), plan=plan[:1]), events("a", status=NOT_RUN), WELL)
    assert found.detail == "the lock has no torch"


def test_one_of_two_answers_is_enough_where_only_the_image_can_tell_which() -> None:
    plan = (PlannedCheck(name="a", instead="b"),)
    for name in "ab":
        assert statuses(runner.collect(replace(request(), plan=plan), events(name), WELL)) == {name: PASSED}
    both = runner.collect(replace(request(), plan=plan), events("a", "b"), WELL)
    assert statuses(both) == {"a": PASSED, "cpu": FAILED}


class Printing:
    """An engine whose container writes these lines."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines

    def run(self, _order: RunRequest, on_line: OnLine) -> RunResult:
        for line in self._lines:
            on_line(line)
        return WELL


def printed(*lines: Iterable[str]) -> list[CheckResult]:
    return run_phase(request("a"), cast(Any, Printing(itertools.chain(*lines))), cast(Any, Silent()))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"check":' * 50_000, "5", "null", '{"a": 1}', "", "\x1b[2J", '{"start": ["a"]}'])
def test_lines_that_are_no_report_do_no_harm(line: str) -> None:
    lines = [json.dumps(event) for event in events("a")]
    assert statuses(printed([line], lines, [line])) == {"a": PASSED}


def test_what_a_probe_writes_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_REPORTED", 10_000)
    lines = [json.dumps(event) for event in events("a")]
    assert statuses(printed(itertools.repeat('{"x": 1}', 10_000), lines)) == {"a": PASSED}
    assert FAILED in statuses(printed(itertools.repeat('{"start": "a"}', 10_000), lines)).values()


class Containers:
    """An engine in which every phase passes; it keeps the orders and the jobs by phase."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self.orders: dict[str, RunRequest] = {}
        self.jobs: dict[str, dict[str, Any]] = {}

    def run(self, order: RunRequest, on_line: OnLine) -> RunResult:
        phase = order.command[-1]
        self.orders[phase] = order
        file = next(source for source, target, _ in order.mounts if target == "/envgen/job.json")
        self.jobs[phase] = json.loads(file.read_text())
        names = [check.name for check in plan_of(phase, self._lock, embedded_model())]
        for event in events(*names):
            on_line(json.dumps({"end": phase} if "end" in event else event))
        return WELL


class Silent:
    def detail(self, _text: str) -> None:
        pass


def workspace_in(folder: Path) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(folder)}, folder)
    return Workspace(project=Project(folder=folder), settings=settings, reporter=cast(Any, Silent()))


def run_tiers(tiers: tuple[str, ...], tmp_path: Path, **chosen: Any) -> tuple[Containers, tuple[CheckResult, ...]]:
    containers, report = report_on(tmp_path, tiers, SmokeOptions(**chosen))
    return containers, report.results


def report_on(
    tmp_path: Path, tiers: tuple[str, ...] = ("cpu",), options: SmokeOptions | None = None, **differs: object
) -> tuple[Containers, SmokeReport]:
    lock = sample_lock(tiers=tiers, cuda="13.0", driver="580", packages=())
    containers = Containers(lock)
    image = Image(name="an/image", digest="sha256:1", size=1, labels={})
    report = smoke(
        workspace_in(tmp_path),
        cast(Any, containers),
        replace(ImageUnderTest(image=image, lock=lock, python=lock.python, base=lock.base, base_matches=True), **differs),  # type: ignore[arg-type]
        embedded_model(),
        options or SmokeOptions(),
    )
    return containers, report


def test_every_tier_has_its_phases(tmp_path: Path) -> None:
    containers, results = run_tiers(tuple(PHASES), tmp_path)
    assert list(containers.orders) == ["static-files", "static-imports", "cpu", "quant", "gpu"]
    assert list(dict.fromkeys((result.tier, result.status) for result in results)) == [(tier, PASSED) for tier in PHASES]


def test_a_gpu_goes_to_its_tier_alone(tmp_path: Path) -> None:
    containers, _ = run_tiers(("static", "cpu", "quant", "gpu"), tmp_path, gpus="0,1")
    gpu = containers.orders.pop("gpu")
    assert (gpu.gpus, "NVIDIA_VISIBLE_DEVICES" in gpu.environment) == ("0,1", False)
    for order in containers.orders.values():
        assert (order.gpus, order.environment["NVIDIA_VISIBLE_DEVICES"], order.environment["CUDA_VISIBLE_DEVICES"]) == (None, "void", "")


def test_nothing_that_a_container_is_given_may_be_written(tmp_path: Path) -> None:
    containers, _ = run_tiers(tuple(PHASES), tmp_path)
    for phase, order in containers.orders.items():
        targets = {target for _, target, _ in order.mounts}
        assert targets == {"/envgen/probe", "/envgen/embedded", "/envgen/model", "/envgen/job.json"}, phase
        assert not [target for _, target, writable in order.mounts if writable], phase


def test_every_phase_has_the_limits_that_were_asked_for(tmp_path: Path) -> None:
    containers, _ = run_tiers(tuple(PHASES), tmp_path, memory=5, check_limit=7.5)
    assert {(order.memory, order.quiet) for order in containers.orders.values()} == {(5, 7.5)}
    assert {order.network for order in containers.orders.values()} == {"none"}


def test_an_image_is_compared_with_no_wheel_that_was_changed(tmp_path: Path) -> None:
    """A wheel that somebody changed in the store would be what the image is measured by."""
    lock = sample_lock(tiers=("static",))
    store = workspace_in(tmp_path).store
    for wheel in lock.wheels:
        store.path(wheel.sha256, wheel.file).parent.mkdir(parents=True)
        store.path(wheel.sha256, wheel.file).write_bytes(make_wheel(wheel.name, wheel.version))
    containers = Containers(lock)
    image = Image(name="an/image", digest="sha256:1", size=1, labels={})
    subject = ImageUnderTest(image=image, lock=lock, python=lock.python, base=lock.base, base_matches=True)
    with pytest.raises(VerificationError, match=r"\.whl: found sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        smoke(workspace_in(tmp_path), cast(Any, containers), subject, embedded_model(), SmokeOptions())
    assert not containers.orders


def test_what_quantizing_saves_is_said_of_16_bits(tmp_path: Path) -> None:
    containers, _ = run_tiers(("cpu", "quant", "gpu"), tmp_path)
    assert {phase: job["dtype"] for phase, job in containers.jobs.items()} == {"cpu": None, "quant": "bfloat16", "gpu": None}


def test_the_probe_is_told_what_is_locked_and_what_to_do_without_a_gpu(tmp_path: Path) -> None:
    containers, _ = run_tiers(("static", "gpu"), tmp_path, gpu_hint="add --gpus all")
    for phase in ("static-imports", "gpu"):
        job = containers.jobs[phase]
        assert (job["cuda"], job["driver"], job["bitsandbytes"], job["gpu_hint"]) == ("13.0", "580", False, "add --gpus all")


def test_probes_run_in_the_image_of_the_digest_with_nothing_of_its_environment(tmp_path: Path) -> None:
    containers, _ = run_tiers(tuple(PHASES), tmp_path)
    for order in containers.orders.values():
        assert (order.image, order.clear_environment) == ("sha256:1", True)
        assert order.command[0] == "/opt/venv/bin/python"
        assert order.environment["PATH"].startswith("/opt/venv/bin:/usr/")


@pytest.mark.parametrize(
    ("differs", "overridden"),
    [
        ({}, False),
        ({"base": "another:1"}, True),
        ({"python": "3.11.2"}, True),
        ({"base_matches": False}, True),
        ({"base_matches": None}, False),
    ],
)
def test_the_locked_base_is_one_by_its_layers_and_its_python(differs: dict[str, object], overridden: bool, tmp_path: Path) -> None:
    _, report = report_on(tmp_path, **differs)
    assert (report.overridden, report.base_matches) == (overridden, differs.get("base_matches", True))


def test_what_the_image_sets_for_the_loader_is_told_to_the_check_that_looks_for_it(tmp_path: Path) -> None:
    image = Image(name="x", digest="sha256:1", size=1, labels={}, environment={"LD_LIBRARY_PATH": "/usr/local/cuda"})
    containers, _ = report_on(tmp_path, ("static",), image=image)
    assert containers.jobs["static-imports"]["library_path"] == "/usr/local/cuda"
    assert "LD_LIBRARY_PATH" not in containers.orders["static-imports"].environment
