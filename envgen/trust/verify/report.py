"""The report of a verification: one entry per fact, and a headline that never flatters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from envgen.trust.report import Report, Status

FINDINGS = (Status.GONE, Status.CHANGED, Status.YANKED, Status.VULNERABLE)
INFORMATION = (Status.TAG_MOVED, Status.TAG_DELETED)
VERIFIED = "verified"
"""The verdict of a report with everything checked and nothing found."""

WHEEL, BASE, MODEL, VULNERABILITIES = "wheel", "base", "model", "vulnerabilities"
_COUNTED = {
    BASE: ("{} base", "{} bases"),
    WHEEL: ("{} wheel", "{} wheels"),
    MODEL: ("{} model", "{} models"),
    VULNERABILITIES: ("vulnerabilities of {} release", "vulnerabilities of {} releases"),
}


def count_of(kind: str, number: int) -> str:
    """A number of things of one kind, in words."""
    return _COUNTED[kind][number != 1].format(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One fact: its subject, its status, and for anything but OK a line of detail and the cure.

    `kind` is one of the kinds above, `name` a wheel's file, a base, a model, or a release as in `numpy 2.4.6`; `locks` are those that
    contain it, as in `cuda/py311-linux-amd64`.
    """

    kind: str
    name: str
    status: Status
    detail: str = ""
    cure: str = ""
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport(Report):
    """All verdicts for the locks `profile/target`, one for each thing."""

    locks: tuple[str, ...]
    entries: tuple[Verdict, ...]

    def having(self, *statuses: Status) -> tuple[Verdict, ...]:
        return tuple(entry for entry in self.entries if entry.status in statuses)

    def verdict(self) -> str:
        """`findings`, else `not checked` if something could not be checked, else `verified`."""
        if self.having(*FINDINGS):
            return "findings"
        return Status.NOT_CHECKED if self.having(Status.NOT_CHECKED) else VERIFIED

    def headline(self) -> str:
        """The first line of every report: what was not checked comes first."""
        parts = [f"NOT CHECKED: {words}" for words in self._by_kind(Status.NOT_CHECKED)]
        parts += [f"not published: {words}" for words in self._by_kind(Status.NOT_PUBLISHED)]
        counts = Counter(entry.status for entry in self.entries)
        parts += [f"{status.upper()}: {counts[status]}" for status in FINDINGS if counts[status]]
        parts += [f"{status}: {counts[status]}" for status in INFORMATION if counts[status]]
        parts.append(f"ok: {counts[Status.OK]} of {sum(1 for entry in self.entries if entry.status not in INFORMATION)}")
        return "; ".join(parts)

    def _by_kind(self, status: Status) -> Iterator[str]:
        """The number of each kind with `status`, and the reason of the first."""
        for kind in _COUNTED:
            found = [entry for entry in self.having(status) if entry.kind == kind]
            if found:
                yield f"{count_of(kind, len(found))} ({found[0].detail.splitlines()[0]})"

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """The number of entries of each kind and status."""
        kinds = [kind for kind in _COUNTED if any(entry.kind == kind for entry in self.entries)]
        return {kind: dict(Counter(entry.status for entry in self.entries if entry.kind == kind)) for kind in kinds}

    def as_json(self) -> Mapping[str, object]:
        """The shape that the help of `envgen verify` documents."""
        return {
            "headline": self.headline(),
            "verdict": self.verdict(),
            "locks": list(self.locks),
            "counts": self.counts(),
            "findings": [asdict(entry) for entry in self.having(*FINDINGS)],
            "not_checked": [asdict(entry) for entry in self.having(Status.NOT_CHECKED)],
            "not_published": [asdict(entry) for entry in self.having(Status.NOT_PUBLISHED)],
            "information": [asdict(entry) for entry in self.having(*INFORMATION)],
        }
