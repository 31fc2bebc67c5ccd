"""envgen.cli.trust.audit: only an image of which all was compared and nothing found ends with 0."""

import json
from pathlib import Path

import pytest
from samples import PROFILE, sample_lock

from envgen.cli.output import QuietReporter
from envgen.cli.trust import audit
from envgen.core.settings import read_settings
from envgen.profiles import Project
from envgen.trust import Status
from envgen.trust.audit import AuditFinding, AuditReport
from envgen.trust.audit.report import Part
from envgen.workspace import Workspace

PASSED, FAILED, NOT_COMPARED = Status.PASSED, Status.FAILED, Status.NOT_COMPARED
FOUND = AuditFinding(part="files", layer="layer 1", path="x", problem="missing")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("statuses", "findings", "code", "verdict"),
    [
        ((PASSED, PASSED), (), 0, "passed"),
        ((PASSED, NOT_COMPARED), (), 8, "INCOMPLETE"),
        ((NOT_COMPARED, NOT_COMPARED), (), 8, "INCOMPLETE"),
        ((PASSED, FAILED), (FOUND,), 8, "FAILED"),
        ((NOT_COMPARED, FAILED), (FOUND,), 8, "FAILED"),
    ],
)
def test_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    statuses: tuple[Status, Status], findings: tuple[AuditFinding, ...], code: int, verdict: str, as_json: bool,
) -> None:  # fmt: skip
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE)
    lock = sample_lock()
    parts = tuple(Part(name=name, status=status, detail="d") for name, status in zip(("base", "files"), statuses, strict=True))
    report = AuditReport(
        profile="small", target=lock.target, image="i", digest="sha256:1", base=lock.base, overridden=False, parts=parts, findings=findings
    )
    monkeypatch.setattr(audit.project, "checked_lock", lambda *_words: lock)
    monkeypatch.setattr(audit, "audit_image", lambda *_words: report)
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    assert audit.run(audit.AuditArgs(profile="small", target="", image="i", json=as_json), workspace) == code
    said = capsys.readouterr().out
    assert (json.loads(said)["verdict"] if as_json else said.splitlines()[-1].split()[2]) == verdict
