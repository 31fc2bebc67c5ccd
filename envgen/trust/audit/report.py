"""The report of an audit: its parts, each compared or not, and every difference by layer and path."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from envgen.core.text import pluralize, printable
from envgen.trust.report import Report, Status

CONFIGURATION, BASE, LAYERS, SKELETON, FILES, BYTE_CODE = "configuration", "base", "layers", "skeleton", "files", "byte code"
ARCHIVE = "archive"
"""The parts of an audit, in the order of a report; the last one only for an image given as an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One difference: the part of the audit, the layer and the path in it (each empty for none), and the problem."""

    part: str
    layer: str = ""
    path: str = ""
    problem: str

    def __str__(self) -> str:
        return ": ".join(printable(text) for text in (self.layer and f"layer {self.layer}", self.path, self.problem) if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The result for one part: `detail` is what was compared, or why it was not."""

    name: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport(Report):
    """The report of one image. `base` is the base in its labels, `overridden` whether that is not the locked one."""

    profile: str
    target: str
    image: str
    digest: str
    base: str
    overridden: bool
    parts: tuple[Part, ...]
    findings: tuple[AuditFinding, ...]

    def verdict(self) -> str:
        """One word: what was not compared is never a pass."""
        if self.findings:
            return "FAILED"
        return "INCOMPLETE" if any(part.status == Status.NOT_COMPARED for part in self.parts) else "passed"

    def headline(self) -> str:
        """The first line of every report: what was not compared comes before what was found."""
        words = [f"NOT COMPARED: {part.name}" for part in self.parts if part.status == Status.NOT_COMPARED]
        words += ["not the locked base"] if self.overridden else []
        words.append(pluralize(len(self.findings), "finding") if self.findings else "nothing found")
        return "; ".join(words)

    def as_json(self) -> Mapping[str, object]:
        """All of it, with every finding."""
        return {"headline": self.headline(), "verdict": self.verdict(), **asdict(self)}
