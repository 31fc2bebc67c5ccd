"""envgen.smoke.tested: what is known of an image's test."""

from dataclasses import replace
from pathlib import Path

import pytest

from envgen.smoke import CheckStatus, SmokeReport
from envgen.smoke.report import FAILED, PASSED, CheckResult
from envgen.smoke.tested import LastTest, note_test, was_tested

DIGEST = "sha256:" + "a1" * 32


def report(*statuses: CheckStatus) -> SmokeReport:
    results = tuple(CheckResult(tier="static", name=f"check-{number}", status=status) for number, status in enumerate(statuses))
    return SmokeReport(
        profile="small", target="py311-linux-amd64", image="x", digest=DIGEST, base="b", overridden=False, python="3.11.2",
        model="embedded", tiers=("static",), results=results,
    )  # fmt: skip


def test_an_image_that_nobody_tested(tmp_path: Path) -> None:
    assert was_tested(tmp_path, DIGEST) == LastTest.NO


@pytest.mark.parametrize(
    ("statuses", "expected"), [((PASSED,), LastTest.PASSED), ((PASSED, FAILED), LastTest.FAILED), ((), LastTest.FAILED)]
)
def test_the_last_test_counts(statuses: tuple[CheckStatus, ...], expected: LastTest, tmp_path: Path) -> None:
    note_test(tmp_path, report(PASSED))
    note_test(tmp_path, report(*statuses))
    assert was_tested(tmp_path, DIGEST) == expected
    assert was_tested(tmp_path, DIGEST.replace("a1", "b2")) == LastTest.NO, "each image has its own"


def test_a_note_that_is_corrupt_or_can_not_be_written_is_none(tmp_path: Path) -> None:
    note_test(tmp_path, report(PASSED))
    next((tmp_path / "tested").iterdir()).write_bytes(b"\xff")
    assert was_tested(tmp_path, DIGEST) == LastTest.NO
    blocked = tmp_path / "file"
    blocked.touch()
    note_test(blocked, replace(report(PASSED)))
    assert was_tested(blocked, DIGEST) == LastTest.NO
