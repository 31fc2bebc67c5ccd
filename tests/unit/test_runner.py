"""envgen.smoke.runner: what becomes of a probe's report, whole or cut short at any line."""

import pytest

from envgen.engine import RunResult
from envgen.smoke.report import FAILED, NOT_RUN, PASSED, CheckResult
from envgen.smoke.runner import collect

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


def statuses(found: list[CheckResult]) -> dict[str, str]:
    return {result.name: result.status for result in found}


def test_a_whole_report_is_taken_as_it_is() -> None:
    found = collect("cpu", "cpu", events("a", "b"), WELL)
    assert found[0] == CheckResult(tier="cpu", name="a", status=PASSED, seconds=1.0, peak_memory=5, detail="d")
    assert statuses(found) == {"a": PASSED, "b": PASSED}


@pytest.mark.parametrize("cut", range(8))
@pytest.mark.parametrize("ended", [WELL, KILLED, CRASHED], ids=["well", "killed", "crashed"])
def test_a_report_that_ends_early_is_never_a_pass(cut: int, ended: RunResult) -> None:
    whole = events("a", "b", "c")
    assert len(whole) == 8
    found = collect("cpu", "cpu", whole[:cut], ended)
    assert any(result.status == FAILED for result in found)
    assert not all(result.status == PASSED for result in found)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_report_of_checks_that_did_not_run_is_no_pass_either_when_it_ends_early(cut: int) -> None:
    found = collect("cpu", "cpu", events("a", "b", "c", status=NOT_RUN)[:cut], CRASHED)
    assert any(result.status == FAILED for result in found)


def test_the_check_that_was_running_failed_and_the_rest_did_not_run() -> None:
    found = collect("cpu", "cpu", events("a", "b", "c")[:4], KILLED)
    assert statuses(found) == {"a": PASSED, "b": FAILED, "c": NOT_RUN}
    assert found[1].detail == "killed: out of memory; give the engine more, or take a smaller model"
    assert found[2].detail.startswith("the probe ended before it: killed")


def test_the_last_words_are_kept() -> None:
    (found,) = collect("cpu", "cpu", [], CRASHED)
    assert (found.name, found.status) == ("cpu", FAILED)
    assert found.detail == "the probe ended with code 139: Segmentation fault"
    assert found.error == CRASHED.stderr


def test_a_kill_is_taken_for_lack_of_memory_even_when_the_engine_does_not_say_so() -> None:
    (found,) = collect("cpu", "cpu", [], RunResult(code=137, out_of_memory=False, stderr=""))
    assert "out of memory" in found.detail


def test_the_end_of_another_phase_is_no_end() -> None:
    found = collect("cpu", "cpu", [*events("a")[:-1], {"end": "static-files"}], WELL)
    assert any(result.status == FAILED for result in found)


def test_a_failure_is_not_reported_twice() -> None:
    whole = events("a", "b")
    whole[2]["status"] = FAILED
    assert statuses(collect("cpu", "cpu", whole, WELL)) == {"a": FAILED, "b": PASSED}
