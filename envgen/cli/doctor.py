"""`envgen doctor`: reports what this machine lacks, and explains error messages."""

import codecs
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import UsageError
from envgen.core.text import pluralize
from envgen.doctor import Finding, examine_machine, exit_code
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING
from envgen.engine.gpus import find_gpus
from envgen.profiles.error_tables import Explanation, consequence, explain
from envgen.workspace import Workspace

TEXT = """\
Each finding is ok, a warning, a problem, or not applicable; warnings and problems come with a cure. The exit code is
that of the first problem: 5 for the engine, 6 for disk, 4 for a lock, 2 for anything else; 0 if there are only warnings.
--explain accepts a message or a whole traceback as printed: colours, log prefixes and wrapped lines are ignored. The
last error counts. The exit code is 2 if it is not in the tables of known errors (profiles/errors/*.toml).
"""

SHAPE = """\
{"problems": number, "warnings": number, "findings": [{"subject", "status", "found", "cure"}]}; with --explain:
{"cause", "cure", "documented": text | null, "why": text | null, "source", "versions": text | null, "error",
"others": [{"error", "cause"}]}"""

LABELS = {
    "cause": "cause",
    "cure": "cure",
    "versions": "applies to",
    "documented": "documented",
    "why": "differs because",
    "source": "source",
}
"""The labels of an explanation's parts, by key and in order."""

MARKS = {OK: "ok", WARNING: "warning", PROBLEM: "PROBLEM", NOT_APPLICABLE: "-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorArgs:
    """The arguments of `envgen doctor`."""

    profile: str
    explain: str | None
    json: bool


def run(args: DoctorArgs, workspace: Workspace) -> int:
    """Print the findings, or the explanation of an error; return the exit code."""
    if args.explain is not None:
        return _explain(args, args.explain, workspace)
    findings = examine_machine(
        workspace, args.profile, make_engine(workspace.settings), find_gpus(workspace.settings.environment()), os.environ
    )
    if args.json:
        print_json(findings_json(findings))
    else:
        counts = [_count(_number(findings, status), status) for status in (PROBLEM, WARNING)]
        print_lines([*_lines(findings), "", f"doctor {args.profile or 'for all profiles'}: {', '.join(counts)}"])
    return exit_code(findings)


def findings_json(findings: Sequence[Finding]) -> Mapping[str, object]:
    entries = [asdict(finding) for finding in findings]
    return {"problems": _number(findings, PROBLEM), "warnings": _number(findings, WARNING), "findings": entries}


def _number(findings: Sequence[Finding], status: str) -> int:
    return sum(finding.status == status for finding in findings)


def _count(number: int, what: str) -> str:
    return pluralize(number, what) if number else f"no {what}s"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, with its cure below."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        head = f"{MARKS[finding.status]:<8} {finding.subject:<{width}}  "
        first, *more = finding.found.splitlines() or [""]
        yield from (head + first, *(" " * len(head) + line for line in more))
        for position, line in enumerate(finding.cure.splitlines()):
            yield " " * len(head) + ("      " if position else "cure: ") + line.removeprefix("       ")


READ = 1024 * 1024
"""How many bytes at the end of standard input are searched: the error that ended a program is there."""


def _explain(args: DoctorArgs, argument: str, workspace: Workspace) -> int:
    """Explain the error that counts in a text. Raises UsageError if it is unknown."""
    text = _standard_input() if argument == "-" else argument
    if not text.strip():
        raise UsageError("--explain", "no text to look up", hint="as in: envgen doctor --explain \"No module named 'torch'\"")
    own = [path.stem for path in (workspace.project.folder / "profiles").glob("*.toml")]
    # A project's only profile is the default.
    profile = workspace.project.profile(args.profile).name if args.profile else own[0] if len(own) == 1 else "PROFILE"
    table = workspace.project.diagnoses()
    explanation = explain(text, table)
    if explanation is None:
        fallback = consequence(text, table)
        hint = f"{fallback.cause}: {fallback.cure}" if fallback else "give the last lines of the traceback, word for word"
        raise UsageError(
            "--explain", "not in the tables of known errors",
            hint=f"{hint}; or check this machine: envgen doctor",
        )  # fmt: skip
    if args.json:
        print_json(explanation_json(explanation, profile), ascii_only=False)
    else:
        print_lines(_explanation_lines(explanation, profile, whole=text))
    return 0


def _standard_input() -> str:
    """Read the end of standard input, in UTF-8 or UTF-16; empty if it is closed."""
    if sys.stdin is None:
        return ""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read()
    start, end = stream.read(4), b""
    while chunk := stream.read(READ):
        end = (end + chunk)[-READ:]
    # PowerShell writes files in UTF-16.
    marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    encoding = next((name for mark, name in marks.items() if start.startswith(mark)), "utf-8")
    return (start + end if len(end) < READ else end).decode(encoding, errors="replace").removeprefix("\ufeff")


def explanation_json(explanation: Explanation, profile: str) -> Mapping[str, object]:
    """An explanation as JSON, with cures that name `profile`."""
    entry = explanation.diagnosis
    return {
        "cause": entry.cause,
        "cure": entry.cure.replace("PROFILE", profile),
        "documented": entry.documented,
        "why": entry.why,
        "source": f"{entry.document}, {entry.section}",
        "versions": entry.versions,
        "error": explanation.error,
        "others": [{"error": error, "cause": other.cause} for error, other in explanation.others],
    }


def _explanation_lines(explanation: Explanation, profile: str, *, whole: str) -> Iterator[str]:
    """The lines of an explanation; for a longer text, with the error that it is for."""
    body = explanation_json(explanation, profile)
    if "\n" in whole.strip() or explanation.others:
        yield f"{'error:':<17}{explanation.error} (the last one counts)"
    for key, label in LABELS.items():
        if body[key] is not None:
            yield f"{label + ':':<17}{body[key]}"
    for error, other in explanation.others:
        yield f"{'also known:':<17}{error}: {other.cause}"


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("profile", nargs="?", default="", metavar="PROFILE", help="the profile to build and run here (default: all)")
    parser.add_argument(
        "--explain", default=None, metavar="TEXT", help="look up an error text in the tables of known errors (-: standard input)"
    )
    options.add_json(parser, "the findings as JSON")


COMMAND = Command(arguments=DoctorArgs, add_options=add_options, run=run, example="envgen doctor cpu-base", text=TEXT, shape=SHAPE)
