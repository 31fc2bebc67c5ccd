"""`envgen verify`: whether everything locked still exists and still has its hash."""

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
Asks indexes, registries, and the hub of locked models; downloads no wheel and no weights. Each wheel must be listed by its index with
the locked hash, each base be in its registry by its digest, and the hub have each file of a model with its hash. Lists yanked releases
and known vulnerabilities too, from the index's own data.

Exit code 8 when something is gone, changed, yanked or vulnerable, and also when something could not be asked (NOT CHECKED:
an index or a registry gives no answer): a nightly job that could not look must not be green. What an index never
publishes, such as hashes or vulnerabilities, is said in the first line, and is no failure: no night would be another.
A base's tag that moved or was deleted is said too, and is none: the digest is what is locked. Where a mirror stands in for
an index or a registry, the mirror is what is asked: a pull-through cache answers from what it has kept.
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
"""How many names are listed of those that have one reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyArgs:
    """What `envgen verify` is called with."""

    profiles: tuple[str, ...]
    target: str
    json: bool


def run(args: VerifyArgs, workspace: Workspace) -> int:
    """Prints the report; the exit code."""
    profiles = [workspace.project.profile(name) for name in dict.fromkeys(args.profiles or workspace.project.default_profiles())]
    locks = [read_lock(workspace.project, profile, target)[0] for profile in profiles for target in profile.find_targets(args.target)]
    workspace.reporter.step(f"asking about {pluralize(len(locks), 'lock')}")
    found = verify_locks(workspace, locks, make_engine(workspace.settings), dt.datetime.now(tz=dt.UTC).date())
    if args.json:
        print_json(found.as_json(), ascii_only=False)
    else:
        print_lines(lines(found, ", ".join(profile.name for profile in profiles)))
    return 0 if found.verdict() == VERIFIED else VerificationError.exit_code


def lines(found: VerificationReport, profiles: str) -> Iterator[str]:
    """The report as text: what was not checked first, then findings with their cures, then counts."""
    yield f"verify {profiles}: {found.headline()}"
    yield from _findings(found.having(*FINDINGS))
    for title, statuses in (
        ("not checked", (Status.NOT_CHECKED,)),
        ("not published", (Status.NOT_PUBLISHED,)),
        ("good to know", INFORMATION),
    ):
        entries = found.having(*statuses)
        if entries:
            yield from ("", title, *_by_reason(entries))
    yield ""
    for kind, numbers in found.counts().items():
        yield f"{count_of(kind, sum(numbers.values()))}: {', '.join(f'{status} {number}' for status, number in numbers.items())}"
    yield f"verify {profiles}: {found.verdict() if found.verdict() == VERIFIED else found.verdict().upper()}"


def _findings(entries: Sequence[Verdict]) -> Iterator[str]:
    for entry in entries:
        yield ""
        yield f"{entry.status.upper()}  {entry.name}"
        yield f"    {entry.detail}"
        if entry.locks:
            yield f"    in:   {first_few(entry.locks, SHOWN)}"
        yield from (f"    {'cure:' if position == 0 else '     '} {line}" for position, line in enumerate(entry.cure.splitlines()))


def _by_reason(entries: Sequence[Verdict]) -> Iterator[str]:
    """One paragraph for all that have the same reason."""
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
