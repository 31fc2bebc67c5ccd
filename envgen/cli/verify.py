"""`envgen verify`: whether everything locked still exists and still has its hash."""

import argparse
import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from envgen.core.errors import VerificationError
from envgen.engine.docker import DockerEngine
from envgen.lock.folder import read_lock
from envgen.trust.report import Status
from envgen.trust.verify.report import FINDINGS, INFORMATION, VERIFIED, Verdict, VerificationReport, count_of
from envgen.trust.verify.verify import verify_locks
from envgen.workspace import Workspace

SHOWN = 5
"""How many names are listed of those that have one reason."""


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints the report; the exit code."""
    profiles = [workspace.project.profile(name) for name in dict.fromkeys(options.profiles or workspace.project.own_profiles())]
    locks = [read_lock(workspace.project, profile, target)[0] for profile in profiles for target in profile.find_targets(options.target)]
    workspace.reporter.step(f"asking about {len(locks)} lock{'' if len(locks) == 1 else 's'}")
    found = verify_locks(workspace, locks, DockerEngine(workspace.settings), dt.datetime.now(tz=dt.UTC).date())
    if options.json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(found, ", ".join(profile.name for profile in profiles))))
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
            yield f"    in:   {_some(entry.locks)}"
        yield from (f"    {'cure:' if position == 0 else '     '} {line}" for position, line in enumerate(entry.cure.splitlines()))


def _by_reason(entries: Sequence[Verdict]) -> Iterator[str]:
    """One paragraph for all that have the same reason."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for entry in entries:
        groups[entry.kind, entry.detail, entry.cure].append(entry.name)
    for (kind, detail, cure), names in groups.items():
        yield f"  {count_of(kind, len(names))}: {detail}"
        yield f"      {_some(names)}"
        yield from (f"      {line}" for line in cure.splitlines())


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
