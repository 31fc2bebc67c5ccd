"""`envgen audit`: compares an image with its lock and lists every difference."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import VerificationError
from envgen.core.text import printable
from envgen.lock import project
from envgen.trust.audit import AuditReport, audit_image
from envgen.trust.report import Status
from envgen.workspace import Workspace

TEXT = """\
Needs no network. Every file must come from a locked wheel, the base, or the Dockerfile; byte code is recompiled with the base's Python.
Exit code 0 only if everything was compared and nothing found; 8 for a difference, or if something could not be compared, such as byte
code without an engine that has the base: the report says what and why.
"""

SHAPE = """\
{"headline", "verdict": "passed" | "FAILED" | "INCOMPLETE", "profile", "target", "image", "digest", "base", "overridden": boolean,
"parts": [{"name", "status", "detail"}], "findings": [{"part", "layer", "path", "problem"}]}"""

MARKS = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.NOT_COMPARED: "NOT COMPARED"}

SHOWN = 50
"""How many findings are printed; JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditArgs:
    """The arguments of `envgen audit`."""

    profile: str
    target: str
    image: str
    json: bool


def run(args: AuditArgs, workspace: Workspace) -> int:
    """Print the report; the exit code is 0 only if everything was compared and nothing found."""
    profile = workspace.project.chosen_profile(args.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(args.target))
    report = audit_image(workspace, lock, make_engine(workspace.settings), args.image)
    if args.json:
        print_json(report.as_json())
    else:
        print_lines(_lines(report))
    return 0 if report.verdict() == "passed" else VerificationError.exit_code


def _lines(report: AuditReport) -> Iterator[str]:
    """The first line says what was not compared."""
    yield f"audit {report.profile} {report.target}: {report.headline()}"
    yield f"image {report.image} {report.digest}"
    yield f"base  {printable(report.base)}{' (NOT the locked base)' if report.overridden else ''}"
    yield ""
    width = max(len(part.name) for part in report.parts)
    for part in report.parts:
        yield f"  {part.name:<{width}}  {MARKS[part.status]:<12}  {printable(part.detail)}"
    if report.findings:
        yield ""
    for finding in report.findings[:SHOWN]:
        yield f"  {finding.part}: {finding}"
    if len(report.findings) > SHOWN:
        yield f"  … and {len(report.findings) - SHOWN} more: see --json"
    yield ""
    yield f"audit {report.profile}: {report.verdict()} ({report.headline()})"


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_image(parser, "the image, or the path of an OCI archive")
    options.add_json(parser, "the report as JSON, with every finding")


COMMAND = Command(arguments=AuditArgs, add_options=add_options, run=run, example="envgen audit cuda", text=TEXT, shape=SHAPE)
