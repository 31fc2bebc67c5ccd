"""`envgen doctor`: what this machine lacks, and what an error message means."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from envgen.core.errors import UsageError
from envgen.doctor.examine import examine
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding, exit_code
from envgen.engine.docker import DockerEngine
from envgen.engine.gpus import find_gpus
from envgen.profiles.error_tables import diagnose
from envgen.workspace import Workspace

MARKS = {OK: "ok", WARNING: "warning", PROBLEM: "PROBLEM", NOT_APPLICABLE: "-"}


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints the findings, or the explanation of an error; the exit code."""
    if options.explain is not None:
        return _explain(options, workspace)
    findings = examine(
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


def _explain(options: argparse.Namespace, workspace: Workspace) -> int:
    """What the documents' tables know of an error text. Raises UsageError when that is nothing."""
    text = sys.stdin.read() if options.explain == "-" else options.explain
    if not text.strip():
        raise UsageError("--explain", "no text to look up", hint="as in: envgen doctor --explain \"No module named 'torch'\"")
    own = [path.stem for path in (workspace.project.folder / "profiles").glob("*.toml")]
    # Where the project has one profile it is that one.
    profile = workspace.project.profile(options.profile).name if options.profile else own[0] if len(own) == 1 else "PROFILE"
    found = diagnose(text, workspace.project.diagnoses())
    if found is None:
        raise UsageError(
            "--explain", "no table of the documents knows this text",
            hint="give the last line of the traceback, word for word; or look for what this machine lacks: envgen doctor",
        )  # fmt: skip
    cure = found.cure.replace("PROFILE", profile)
    body = {
        "cause": found.cause,
        "cure": cure,
        "documented": found.documented,
        "why": found.why,
        "source": f"{found.document}, {found.section}",
    }
    if options.json:
        print(json.dumps(body, indent=2, ensure_ascii=False))
        return 0
    for label, value in (("cause", body["cause"]), ("cure", cure), ("documented", found.documented), ("differs because", found.why)):
        print(f"{label + ':':<17}{value}")
    print(f"{'source:':<17}{body['source']}")
    return 0
