"""envgen.smoke.report: what did not run is said before what passed, and is never a pass."""

import json
from collections.abc import Callable

import pytest

from envgen.cli import show
from envgen.smoke.report import FAILED, NOT_RUN, PASSED, CheckResult, SmokeReport

ALL = ("static", "cpu", "quant", "gpu")


def report(*statuses: str, tiers: tuple[str, ...] = ALL, overridden: bool = False) -> SmokeReport:
    results = tuple(
        CheckResult(tier="cpu", name=f"check-{number}", status=status, seconds=1.25, peak_memory=123_000_000, detail="one\ntwo")
        for number, status in enumerate(statuses)
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
    assert report(PASSED).headline() == "passed: 1 of 1"
    assert (
        report(PASSED, NOT_RUN, FAILED, overridden=True).headline() == "NOT RUN: 1 checks; not the locked base; FAILED: 1; passed: 1 of 3"
    )
    assert report(PASSED, tiers=("static", "cpu")).headline() == "not tested by this profile: quant, gpu; passed: 1 of 1"


def test_json_holds_everything() -> None:
    data = json.loads(json.dumps(report(PASSED, NOT_RUN).as_json()))
    assert data["headline"].startswith("NOT RUN")
    assert [result["status"] for result in data["results"]] == [PASSED, NOT_RUN]


@pytest.mark.parametrize(
    ("statuses", "word"), [((PASSED,), "passed"), ((PASSED, NOT_RUN), "INCOMPLETE"), ((PASSED, FAILED), "FAILED"), ((), "FAILED")]
)
def test_the_table_begins_and_ends_with_the_verdict(capsys: pytest.CaptureFixture[str], statuses: tuple[str, ...], word: str) -> None:
    found = report(*statuses)
    show.report(found)
    lines = capsys.readouterr().out.splitlines()
    assert found.headline() in lines[0]
    assert lines[-1].startswith(f"smoke small: {word} (")


def test_a_base_that_is_not_the_locked_one_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show.report(report(PASSED, overridden=True))
    assert "NOT the locked base" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_500_000, "2 MB"), (2_700_000_000, "2.7 GB")])
def test_sizes(count: int, text: str) -> None:
    assert show.size(count) == text


def test_every_status_has_a_mark() -> None:
    assert show.MARKS.keys() == {PASSED, FAILED, NOT_RUN}
    marks: Callable[[str], str] = show.MARKS.__getitem__
    assert marks(NOT_RUN) != marks(PASSED)
