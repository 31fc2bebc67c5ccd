"""envgen.smoke.report: what did not run is said before what passed, and is never a pass."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from envgen.cli.app import parse
from envgen.cli.images.build import BuildArgs
from envgen.cli.images.smoke import MARKS, conclude, report_lines
from envgen.cli.output import print_lines
from envgen.smoke import SmokeReport
from envgen.smoke.report import FAILED, INCOMPLETE, NOT_APPLICABLE, NOT_RUN, PASSED, CheckResult

ALL = ("static", "cpu", "quant", "gpu")


def report(*statuses: str, tiers: tuple[str, ...] = ALL, overridden: bool = False, gpu: str = PASSED) -> SmokeReport:
    """A report with these checks in the tier cpu and one in each other tier; `gpu` is the status of the one in gpu."""
    checks = [("cpu", status, "one\ntwo") for status in statuses]
    if statuses:
        checks += [(tier, gpu if tier == "gpu" else PASSED, "no GPU visible") for tier in tiers if tier != "cpu"]
    results = tuple(
        CheckResult(tier=tier, name=f"check-{number}", status=status, seconds=1.25, peak_memory=123_000_000, detail=detail)
        for number, (tier, status, detail) in enumerate(checks)
    )
    return SmokeReport(
        profile="small", target="py311-linux-amd64", image="envgen/small:py311-linux-amd64", digest="sha256:1", base="python:3.11",
        overridden=overridden, python="3.11.16", model="embedded", tiers=tiers, results=results,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "passed", "failed"),
    [
        ((PASSED, PASSED), True, False),
        ((PASSED, NOT_RUN), False, False),
        ((PASSED, FAILED), False, True),
        ((NOT_RUN, FAILED), False, True),
        ((NOT_RUN,), False, False),
        ((), False, True),
    ],
)
def test_only_what_ran_and_passed_is_a_pass(statuses: tuple[str, ...], passed: bool, failed: bool) -> None:
    assert (report(*statuses).passed, report(*statuses).failed) == (passed, failed)


def test_the_headline_begins_with_what_is_missing() -> None:
    assert report(PASSED).headline() == "passed: 4 of 4"
    found = report(PASSED, NOT_RUN, FAILED, overridden=True)
    assert found.headline() == "NOT RUN: 1 check of cpu; not the locked base; FAILED: 1; passed: 4 of 6"
    assert report(PASSED, tiers=("static", "cpu")).headline() == "not tested by this profile: quant, gpu; passed: 2 of 2"


def test_a_tier_that_did_not_run_comes_first_and_is_never_a_pass() -> None:
    found = report(PASSED, gpu=NOT_RUN, tiers=("static", "cpu", "gpu"), overridden=True)
    assert found.headline() == "NOT RUN: gpu (no GPU visible); not tested by this profile: quant; not the locked base; passed: 2 of 3"
    assert (found.passed, found.failed, found.idle) == (False, False, ("gpu",))
    assert found.verdict() == "gpu NOT RUN, all else passed"


def test_a_tier_that_did_not_run_hides_nothing_else() -> None:
    assert report(PASSED, NOT_RUN, gpu=NOT_RUN).verdict() == "INCOMPLETE"
    assert report(FAILED, gpu=NOT_RUN).verdict() == "FAILED"
    assert report(PASSED, NOT_RUN, gpu=NOT_RUN).headline().startswith("NOT RUN: gpu (no GPU visible); NOT RUN: 1 check of cpu; ")


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ((PASSED, PASSED), PASSED),
        ((NOT_RUN, NOT_RUN), NOT_RUN),
        ((PASSED, NOT_RUN), INCOMPLETE),
        ((NOT_RUN, FAILED), FAILED),
        ((), NOT_RUN),
    ],
)
def test_the_state_of_a_tier(statuses: tuple[str, ...], state: str) -> None:
    found = report(*statuses)
    assert found.state("cpu") == state
    assert found.as_json()["states"]["cpu"] == state  # type: ignore[index]  # JSON


def test_json_holds_everything() -> None:
    data = json.loads(json.dumps(report(PASSED, NOT_RUN).as_json()))
    assert data["headline"].startswith("NOT RUN")
    assert [result["status"] for result in data["results"] if result["tier"] == "cpu"] == [PASSED, NOT_RUN]
    assert data["verdict"] == "INCOMPLETE"


@pytest.mark.parametrize(
    ("statuses", "word"), [((PASSED,), "passed"), ((PASSED, NOT_RUN), "INCOMPLETE"), ((PASSED, FAILED), "FAILED"), ((), "FAILED")]
)
def test_the_table_begins_and_ends_with_the_verdict(statuses: tuple[str, ...], word: str) -> None:
    found = report(*statuses)
    lines = "\n".join(report_lines(found)).splitlines()
    assert found.headline() in lines[0]
    assert lines[-1].startswith(f"smoke small: {word} (")


def test_a_base_that_is_not_the_locked_one_is_said() -> None:
    assert "NOT the locked base" in "\n".join(report_lines(report(PASSED, overridden=True)))


def test_every_status_has_a_mark() -> None:
    assert MARKS.keys() == {PASSED, FAILED, NOT_RUN, NOT_APPLICABLE}
    marks: Callable[[str], str] = MARKS.__getitem__
    assert marks(NOT_RUN) != marks(PASSED)


def said(found: SmokeReport) -> str:
    return "\n".join(report_lines(found))


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        (report(PASSED), "passed", 0),
        (report(PASSED, NOT_APPLICABLE), "passed", 0),
        (report(PASSED, NOT_RUN), "INCOMPLETE", 7),
        (report(PASSED, gpu=NOT_RUN), "gpu NOT RUN, all else passed", 0),
        (report(NOT_RUN), "INCOMPLETE", 7),
        (report(NOT_APPLICABLE), "INCOMPLETE", 7),
        (replace(report(PASSED), results=report(PASSED).results[:-1]), "FAILED", 7),
        (replace(report(PASSED), results=()), "FAILED", 7),
        (report(FAILED), "FAILED", 7),
    ],
)
def test_only_a_tier_that_needs_a_certain_machine_may_be_left_out(found: SmokeReport, verdict: str, code: int) -> None:
    args: BuildArgs = parse(["build", "small", "--json"]).arguments
    assert (found.verdict(), conclude(args, {}, found)) == (verdict, code)


def test_what_is_not_applicable_counts_as_nothing_and_is_said() -> None:
    found = report(PASSED, NOT_APPLICABLE, tiers=("cpu",))
    assert found.headline() == "not tested by this profile: static, quant, gpu; 1 check not applicable to this lock; passed: 1 of 1"
    assert found.passed


def test_a_base_that_could_not_be_compared_is_said() -> None:
    found = replace(report(PASSED), base_matches=None)
    assert found.headline() == "base as the image says, not checked; passed: 4 of 4"
    assert "base  python:3.11, Python 3.11.16 (as the image says, not checked);" in said(found)
    assert "not checked" not in said(report(PASSED))


def test_a_base_that_is_not_the_one_of_the_image_is_said() -> None:
    found = replace(report(PASSED, overridden=True), base_matches=False)
    assert "not the locked base" in found.headline()
    assert "base  python:3.11, Python 3.11.16 (NOT the base of this image: it has other layers);" in said(found)


HOSTILE = "X\x1b[2J\x1b[8m\nsmoke small: passed (passed: 22 of 22)\n::error::x\n##[error]x"


def test_whatever_an_image_or_a_model_says_no_line_of_the_report_is_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    check = CheckResult(tier="cpu", name="generate", status=NOT_RUN, detail=HOSTILE, error=HOSTILE)
    found = replace(
        report(PASSED, gpu=NOT_RUN),
        base=HOSTILE,
        python=HOSTILE,
        model_digest="",
        results=(check, replace(check, tier="gpu", status=NOT_RUN)),
    )
    print_lines(report_lines(found))
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if not line.isprintable() or line.lstrip().startswith("::") or "##[" in line] == []
    assert [line for line in lines if line.startswith("smoke ")] == [lines[0], lines[-2]]
    assert lines[-2].startswith("smoke small: FAILED (")
