"""What a smoke test found: one result a check, and the words that sum them up without flattering."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from envgen.profile import TIERS

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check: `seconds` it took, `peak_memory` in bytes, a line of detail, and for a failure its cause and cure."""

    tier: str
    name: str
    status: str
    seconds: float = 0.0
    peak_memory: int = 0
    detail: str = ""
    error: str = ""
    cause: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport:
    """The report of one image. `base` is the image it was built on, `overridden` whether that is not the locked one."""

    profile: str
    target: str
    image: str
    digest: str
    base: str
    overridden: bool
    python: str
    model: str
    tiers: tuple[str, ...]
    results: tuple[CheckResult, ...]

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether every check ran and passed: a check that did not run is no pass."""
        return bool(self.results) and all(result.status == PASSED for result in self.results)

    @property
    def failed(self) -> bool:
        """Whether a check failed, or there was none at all."""
        return not self.results or any(result.status == FAILED for result in self.results)

    def headline(self) -> str:
        """The first line of every report: what did not run comes before what passed."""
        parts = []
        missing = [tier for tier in TIERS if tier not in self.tiers]
        if missing:
            parts.append(f"not tested by this profile: {', '.join(missing)}")
        if self.count(NOT_RUN):
            parts.append(f"NOT RUN: {self.count(NOT_RUN)} checks")
        if self.overridden:
            parts.append("not the locked base")
        if self.count(FAILED):
            parts.append(f"FAILED: {self.count(FAILED)}")
        parts.append(f"passed: {self.count(PASSED)} of {len(self.results)}")
        return "; ".join(parts)

    def as_json(self) -> Mapping[str, object]:
        return {"headline": self.headline(), **asdict(self)}
