"""A finding: one thing that was checked, its status, and its cure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from envgen.core.errors import BuildError, EngineError, StaleLockError, UsageError


class FindingStatus(StrEnum):
    """The status of one thing that was checked."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_APPLICABLE = "not applicable"


OK, WARNING, PROBLEM, NOT_APPLICABLE = FindingStatus

CODES = {
    "engine": EngineError.exit_code,
    "platform": EngineError.exit_code,
    "GPU runtime": EngineError.exit_code,
    "engine's disk": BuildError.exit_code,
    "wheel store": BuildError.exit_code,
    "lock": StaleLockError.exit_code,
}
"""The exit code of a problem with each subject; any other problem is an invalid setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding; a warning or a problem has a cure."""

    subject: str
    status: FindingStatus
    found: str
    cure: str = ""


def exit_code(findings: Sequence[Finding]) -> int:
    """Return the exit code of the first problem; 0 if there is none."""
    first = next((finding for finding in findings if finding.status == PROBLEM), None)
    return CODES.get(first.subject, UsageError.exit_code) if first else 0
