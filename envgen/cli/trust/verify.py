"""`envgen verify`: checks that everything locked still exists and still has its hash."""

import datetime as dt
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import VerificationError
from envgen.core.text import first_few, pluralize
from envgen.lock.folder import read_lock
from envgen.trust.report import Status
from envgen.trust.verify import FINDINGS, INFORMATION, VERIFIED, Verdict, VerificationReport, verify_locks
from envgen.trust.verify.report import count_of
from envgen.workspace import Workspace

TEXT = """\
Queries indexes, registries, and the hub of locked models; downloads no wheels and no weights. Each wheel must be listed by its index
with the locked hash, each base must be in its registry by digest, and each model file on the hub with its hash. Also lists yanked
releases and known vulnerabilities, from the index's own data.

Exit code 8 if something is gone, changed, yanked or vulnerable, or could not be checked (NOT CHECKED: an index or a registry
does not respond): a nightly job that could not check must not pass. What an index never publishes, such as hashes or
vulnerabilities, is noted in the first line but is not a failure: it would fail every night. A moved or deleted base tag is
reported, but is not a failure: the lock pins the digest. If an index or a registry has a mirror, the mirror is queried; a
pull-through cache answers from its cache.
"""

SHAPE = """\
{"headline": text, "verdict": "findings" | "not checked" | "verified", "locks": ["PROFILE/TARGET"],
"counts": {kind: {status: number}},
"findings": [entry], "not_checked": [entry], "not_published": [entry], "information": [entry]}
entry: {"kind": "wheel" | "base" | "model" | "vulnerabilities", "name": text, "status": text, "detail": text,
"cure": text, "locks": ["PROFILE/TARGET"]}

Verdict "findings" and "not checked" both exit with 8.
"""

SHOWN = 5
"""How many names are listed for each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyArgs:
    """The arguments of `envgen verify`."""

    profiles: tuple[str, ...]
    target: str
    json: bool


def run(args: VerifyArgs, workspace: Workspace) -> int:
    """Print the report and return the exit code."""
    profiles = [workspace.project.profile(name) for name in dict.fromkeys(args.profiles or workspace.project.default_profiles())]
    locks = [read_lock(workspace.project, profile, target)[0] for profile in profiles for target in profile.find_targets(args.target)]
    workspace.reporter.step(f"checking {pluralize(len(locks), 'lock')}")
    report = verify_locks(workspace, locks, make_engine(workspace.settings), dt.datetime.now(tz=dt.UTC).date())
    if args.json:
        print_json(report.as_json(), ascii_only=False)
    else:
        print_lines(lines(report, ", ".join(profile.name for profile in profiles)))
    return 0 if report.verdict() == VERIFIED else VerificationError.exit_code


def lines(report: VerificationReport, profiles: str) -> Iterator[str]:
    """The report as text: what was not checked, findings with their cures, counts."""
    yield f"verify {profiles}: {report.headline()}"
    yield from _findings(report.having(*FINDINGS))
    for title, statuses in (
        ("not checked", (Status.NOT_CHECKED,)),
        ("not published", (Status.NOT_PUBLISHED,)),
        ("good to know", INFORMATION),
    ):
        entries = report.having(*statuses)
        if entries:
            yield from ("", title, *_by_reason(entries))
    yield ""
    for kind, numbers in report.counts().items():
        yield f"{count_of(kind, sum(numbers.values()))}: {', '.join(f'{status} {number}' for status, number in numbers.items())}"
    yield f"verify {profiles}: {report.verdict() if report.verdict() == VERIFIED else report.verdict().upper()}"


def _findings(entries: Sequence[Verdict]) -> Iterator[str]:
    for entry in entries:
        yield ""
        yield f"{entry.status.upper()}  {entry.name}"
        yield f"    {entry.detail}"
        if entry.locks:
            yield f"    in:   {first_few(entry.locks, SHOWN)}"
        yield from (f"    {'cure:' if position == 0 else '     '} {line}" for position, line in enumerate(entry.cure.splitlines()))


def _by_reason(entries: Sequence[Verdict]) -> Iterator[str]:
    """One paragraph for each reason."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for entry in entries:
        groups[entry.kind, entry.detail, entry.cure].append(entry.name)
    for (kind, detail, cure), names in groups.items():
        yield f"  {count_of(kind, len(names))}: {detail}"
        yield f"      {first_few(names, SHOWN)}"
        yield from (f"      {line}" for line in cure.splitlines())


def add_options(parser: ArgumentParser) -> None:
    options.add_profiles(parser)
    options.add_target(parser, "one target only")
    options.add_json(parser, "the findings as JSON")


COMMAND = Command(arguments=VerifyArgs, add_options=add_options, run=run, example="envgen verify cuda", text=TEXT, shape=SHAPE)
