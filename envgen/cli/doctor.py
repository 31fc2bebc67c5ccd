"""`envgen doctor`: what this machine lacks, and what an error message means."""

import argparse
import codecs
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from envgen.core.errors import UsageError
from envgen.doctor.examine import examine_machine
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding, exit_code
from envgen.engine.docker import DockerEngine
from envgen.engine.gpus import find_gpus
from envgen.profiles.error_tables import Explanation, consequence, explain
from envgen.workspace import Workspace

MARKS = {OK: "ok", WARNING: "warning", PROBLEM: "PROBLEM", NOT_APPLICABLE: "-"}


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints the findings, or the explanation of an error; the exit code."""
    if options.explain is not None:
        return _explain(options, workspace)
    findings = examine_machine(
        workspace, options.profile, DockerEngine(workspace.settings), find_gpus(workspace.settings.environment()), os.environ
    )
    counts = {status: sum(finding.status == status for finding in findings) for status in (PROBLEM, WARNING)}
    if options.json:
        body = {"problems": counts[PROBLEM], "warnings": counts[WARNING], "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(body, indent=2))
    else:
        _print(findings)
        print(f"\ndoctor {options.profile or 'for all profiles'}: {_count(counts[PROBLEM], PROBLEM)}, {_count(counts[WARNING], WARNING)}")
    return exit_code(findings)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _print(findings: Sequence[Finding]) -> None:
    """A line for each finding, and its cure below it."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        head = f"{MARKS[finding.status]:<8} {finding.subject:<{width}}  "
        first, *more = finding.found.splitlines() or [""]
        print(head + first, *(" " * len(head) + line for line in more), sep="\n")
        for position, line in enumerate(finding.cure.splitlines()):
            print(" " * len(head) + ("      " if position else "cure: ") + line.removeprefix("       "))


READ = 1024 * 1024
"""Bytes of standard input that are kept, its last ones: what ended a program is there."""


def _explain(options: argparse.Namespace, workspace: Workspace) -> int:
    """What the tables know of the error that counts in a text. Raises UsageError when that is nothing."""
    text = _standard_input() if options.explain == "-" else options.explain
    if not text.strip():
        raise UsageError("--explain", "no text to look up", hint="as in: envgen doctor --explain \"No module named 'torch'\"")
    own = [path.stem for path in (workspace.project.folder / "profiles").glob("*.toml")]
    # Where the project has one profile it is that one.
    profile = workspace.project.profile(options.profile).name if options.profile else own[0] if len(own) == 1 else "PROFILE"
    table = workspace.project.diagnoses()
    found = explain(text, table)
    if found is None:
        only = consequence(text, table)
        hint = f"{only.cause}: {only.cure}" if only else "give the last lines of the traceback, word for word"
        raise UsageError(
            "--explain", "no table of the documents knows this text",
            hint=f"{hint}; or look for what this machine lacks: envgen doctor",
        )  # fmt: skip
    _print_explanation(found, profile, whole=text, as_json=options.json)
    return 0


def _standard_input() -> str:
    """The end of what is on standard input, in whatever encoding a shell wrote it; nothing where it is closed."""
    if sys.stdin is None:
        return ""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read()
    start, end = stream.read(4), b""
    while chunk := stream.read(READ):
        end = (end + chunk)[-READ:]
    # PowerShell writes UTF-16 into files.
    marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    encoding = next((name for mark, name in marks.items() if start.startswith(mark)), "utf-8")
    return (start + end if len(end) < READ else end).decode(encoding, errors="replace").removeprefix("\ufeff")


def _print_explanation(found: Explanation, profile: str, *, whole: str, as_json: bool) -> None:
    """An entry, and of a text of several lines which one it is for."""
    entry = found.diagnosis
    body = {
        "cause": entry.cause,
        "cure": entry.cure.replace("PROFILE", profile),
        "documented": entry.documented,
        "why": entry.why,
        "source": f"{entry.document}, {entry.section}",
        "versions": entry.versions,
        "error": found.error,
        "others": [{"error": error, "cause": other.cause} for error, other in found.others],
    }
    if as_json:
        print(json.dumps(body, indent=2, ensure_ascii=False))
        return
    if "\n" in whole.strip() or found.others:
        print(f"{'error:':<17}{found.error} (the last one counts)")
    labels = {
        "cause": "cause",
        "cure": "cure",
        "versions": "holds for",
        "documented": "documented",
        "why": "differs because",
        "source": "source",
    }
    for key, label in labels.items():
        if body[key] is not None:
            print(f"{label + ':':<17}{body[key]}")
    for error, other in found.others:
        print(f"{'known, too:':<17}{error}: {other.cause}")
