"""The report of a smoke test: one result per check, and a headline that never flatters."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from envgen.core.text import one_line, pluralize
from envgen.profiles.model import TIERS


class CheckStatus(StrEnum):
    """The outcome of a check, or of all checks of a tier."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    INCOMPLETE = "incomplete"
    """Only of a tier: some checks ran and passed, others did not run."""
    NOT_APPLICABLE = "not applicable"
    """Only of a check: the lock has nothing for it to look at."""


PASSED, FAILED, NOT_RUN, INCOMPLETE, NOT_APPLICABLE = CheckStatus

OPTIONAL_TIERS = ("quant", "gpu")
"""The tiers that need what a machine, or a model, may not have. That one as a whole did not run is said, and is no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check: `seconds`, `peak_memory` in bytes, a line of detail, and for a failure its cause and cure."""

    tier: str
    name: str
    status: CheckStatus
    seconds: float = 0.0
    peak_memory: int = 0
    detail: str = ""
    error: str = ""
    cause: str = ""
    cure: str = ""


_REPORTED = {"status": str, "seconds": float, "peak_memory": int, "detail": str, "error": str}
"""The fields that a probe may report of a check. The tier comes from the host, causes and cures from the error tables."""

LARGEST_NUMBER = 1 << 60

LONGEST_TEXT = 100_000
"""The most characters kept of a detail or an error."""


def read_result(event: Mapping[str, object], tier: str) -> CheckResult:
    """The result of a check in the probe's `event`; a failure if the event is malformed."""
    name = str(event.get("check"))[:LONGEST_TEXT]
    fields = {key: value for key, value in event.items() if key != "check"}
    if problem := _malformed(fields):
        return CheckResult(tier=tier, name=name, status=FAILED, detail=f"the probe's report is malformed: {problem}")
    cut = {key: value[:LONGEST_TEXT] if isinstance(value, str) else value for key, value in fields.items()}
    cut["status"] = CheckStatus(str(cut["status"]))
    return CheckResult(tier=tier, name=name, **cut)  # type: ignore[arg-type]  # just checked


def _malformed(fields: Mapping[str, object]) -> str:
    """What is wrong with the fields of a report; empty if nothing is."""
    for key, value in fields.items():
        kind = _REPORTED.get(key)
        if kind is None:
            return f"found the unknown field {key[:40]!a}"
        # JSON has one type for numbers, and `true` is not a number.
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            return f"found {value!a:.60} for {key}"
        if isinstance(value, int | float) and not 0 <= value < LARGEST_NUMBER:
            return f"found {value!a:.60} for {key}"
    if fields.get("status") not in (PASSED, FAILED, NOT_RUN):
        return f"found {fields.get('status')!a:.60} for status"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport:
    """The report of one image. `base` is the image it was built on, `overridden` whether that is not the locked one.

    `base_matches` is whether the lowest layers of the image are those of that base; None where that was not checked.

    `model_digest` is that of the wheel that the model is from, or the one over its files from the hub, else empty.
    """

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
    model_digest: str = ""
    base_matches: bool | None = True

    def count(self, status: CheckStatus) -> int:
        return sum(result.status == status for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether every check ran and passed, of each tier: a check that did not run is no pass."""
        return all(self.state(tier) == PASSED for tier in self.tiers) and bool(self._applied) and not self.failed

    @property
    def failed(self) -> bool:
        """Whether a check failed, or a tier has none at all."""
        tiers = {result.tier for result in self.results}
        return not self.results or not tiers.issuperset(self.tiers) or any(result.status == FAILED for result in self.results)

    @property
    def accepted(self) -> bool:
        """Whether all passed that can run on this machine: no check failed, and none of a tier that ran was left out."""
        return not self.failed and all(self.state(tier) == PASSED or (tier in OPTIONAL_TIERS and tier in self.idle) for tier in self.tiers)

    @property
    def _applied(self) -> tuple[CheckResult, ...]:
        """The checks that the lock leaves something to look at."""
        return tuple(result for result in self.results if result.status != NOT_APPLICABLE)

    def state(self, tier: str) -> CheckStatus:
        """What became of a tier: `passed`, `failed`, `not run` where none of its checks ran, else `incomplete`."""
        statuses = {result.status for result in self._applied if result.tier == tier}
        if FAILED in statuses:
            return FAILED
        return next(iter(statuses)) if len(statuses) == 1 else INCOMPLETE if statuses else NOT_RUN

    @property
    def idle(self) -> tuple[str, ...]:
        """The tiers that the profile asks for and of which no check ran."""
        return tuple(tier for tier in self.tiers if self.state(tier) == NOT_RUN)

    def verdict(self) -> str:
        """One word for all of it, unless a tier as a whole did not run: that is said before what passed."""
        if self.failed:
            return "FAILED"
        if self.passed:
            return "passed"
        return f"{', '.join(self.idle)} NOT RUN, all else passed" if self.accepted else "INCOMPLETE"

    def headline(self) -> str:
        """The first line of every report: what did not run comes before what passed."""
        parts = [f"NOT RUN: {tier} ({self._reason(tier)})" for tier in self.idle]
        missing = [tier for tier in TIERS if tier not in self.tiers]
        if missing:
            parts.append(f"not tested by this profile: {', '.join(missing)}")
        single = [result for result in self.results if result.status == NOT_RUN and result.tier not in self.idle]
        if single:
            tiers = ", ".join(dict.fromkeys(result.tier for result in single))
            parts.append(f"NOT RUN: {pluralize(len(single), 'check')} of {tiers}")
        if applies_not := self.count(NOT_APPLICABLE):
            parts.append(f"{pluralize(applies_not, 'check')} not applicable to this lock")
        if self.overridden:
            parts.append("not the locked base")
        elif self.base_matches is None:
            parts.append("base as the image says, not checked")
        if self.count(FAILED):
            parts.append(f"FAILED: {self.count(FAILED)}")
        parts.append(f"passed: {self.count(PASSED)} of {len(self._applied)}")
        return "; ".join(parts)

    def _reason(self, tier: str) -> str:
        """Why nothing of a tier ran, in the words of its first check."""
        return next((one_line(result.detail) for result in self.results if result.tier == tier), "it has no checks")

    def as_json(self) -> Mapping[str, object]:
        states = {tier: self.state(tier) for tier in self.tiers}
        return {"headline": self.headline(), "verdict": self.verdict(), "states": states, **asdict(self)}
