"""`envgen audit`: an image against its lock, and every difference by name."""

import argparse
import json

from envgen.core.errors import VerificationError
from envgen.core.text import printable
from envgen.engine.docker import DockerEngine
from envgen.lock import project
from envgen.trust.audit.audit import audit_image
from envgen.trust.audit.report import AuditReport
from envgen.trust.report import Status
from envgen.workspace import Workspace

MARKS = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.NOT_COMPARED: "NOT COMPARED"}

SHOWN = 50
"""Findings that are printed; JSON has all."""


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints the report; 0 only if everything was compared and nothing found."""
    profile = workspace.project.profile(options.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(options.target))
    report = audit_image(workspace, lock, DockerEngine(workspace.settings), options.image)
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        _show(report)
    return 0 if report.verdict() == "passed" else VerificationError.exit_code


def _show(found: AuditReport) -> None:
    """The first line says what was not compared."""
    print(f"audit {found.profile} {found.target}: {found.headline()}")
    print(f"image {found.image} {found.digest}")
    print(f"base  {printable(found.base)}{' (NOT the locked base)' if found.overridden else ''}")
    print()
    width = max(len(part.name) for part in found.parts)
    for part in found.parts:
        print(f"  {part.name:<{width}}  {MARKS[part.status]:<12}  {printable(part.detail)}")
    if found.findings:
        print()
    for finding in found.findings[:SHOWN]:
        print(f"  {finding.part}: {finding}")
    if len(found.findings) > SHOWN:
        print(f"  … and {len(found.findings) - SHOWN} more: --json has all")
    print()
    print(f"audit {found.profile}: {found.verdict()} ({found.headline()})")
