"""Which images were tested on this machine, by digest: an image has its tag before its test, and keeps it when that is cut short."""

from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from envgen.smoke.report import SmokeReport


class LastTest(StrEnum):
    """What is known of an image's smoke test; `run` and `build` say it."""

    PASSED = "tested"
    FAILED = "did NOT pass its smoke test"
    NO = "NOT tested on this machine"


def note_test(cache: Path, report: SmokeReport) -> None:
    """Notes what the last test of an image said."""
    # Where this can't be written, the image goes for one that was not tested.
    with suppress(OSError):
        path = _note(cache, report.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Half a word is as good as none.
        path.write_text(LastTest.PASSED if report.accepted else LastTest.FAILED, encoding="utf-8")


def was_tested(cache: Path, digest: str) -> LastTest:
    """What the last test of the image `digest` said."""
    try:
        return LastTest(_note(cache, digest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return LastTest.NO


def _note(cache: Path, digest: str) -> Path:
    return cache / "tested" / digest.removeprefix("sha256:")
