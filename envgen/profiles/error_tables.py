"""Diagnoses: tables of errors as data, and which entry an error text matches.

The last error of a text counts. Where no table knows it, the text is unknown, whatever stands above it, with two exceptions: an error
that says no more than that another one happened (a consequence), and one whose traceback names the error above as its direct cause.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from envgen.core.toml import Faults, Table
from envgen.profiles.error_message import JOINED, Chain, Line, joined, read_lines
from envgen.profiles.error_prefixes import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One entry: a pattern of the message, its cause, the cure here, and the cure as the source has it with the difference.

    `versions` says what it holds for, where it is bound to versions. A `consequence` says no more than that something else failed.
    """

    pattern: re.Pattern[str]
    cause: str
    cure: str
    document: str
    section: str
    documented: str | None = None
    why: str | None = None
    versions: str | None = None
    consequence: bool = False
    anchored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The entry for the error that counts, the words that it was found by, and the other errors of the text that are known."""

    diagnosis: Diagnosis
    error: str
    others: tuple[tuple[str, Diagnosis], ...] = ()


_START = r"(?:^|(?<=[:;>|)\].,!*'=-] )|(?<=['\[(=])|(?<=[/\\])(?=lib|flash_attn|_torch))"
"""Where a message may start: of its own, or after what ends another part of the line; not in the middle of a sentence."""

_MEANINGLESS = (
    "",
    "error",
    "failed",
    "RuntimeError: ",
    "an exception",
    "No such file or directory",
    "exit code 1",
    "Segmentation fault",
    "x",
)
"""What says nothing: a pattern that matches one of these is no pattern."""

_QUOTES = str.maketrans({'"': "'", "`": "'"})
"""Texts are read with one kind of quote, and so are patterns."""

_ENDLESS = re.compile(r"\)(?:[*+]|\{\d+,\})")
"""A repeated group: what can take an exponential time on a hostile text."""

WRAPPED = 200_000
"""Characters that are looked at for lines that may be wrapped, from the end of a text on: a limit for hostile ones."""

KNOWN = 50
OTHERS = 5
"""Known errors of a text that are looked for, and that are named beside the one that counts."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def read_diagnoses(data: Mapping[str, object], label: str) -> tuple[Diagnosis, ...]:
    """The entries of an error table, the more special ones first. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    anchored = table.get("anchored", bool, False)
    found = [_read(inner, anchored) for inner in table.array_of_tables("error")]
    table.close()
    faults.raise_any()
    return tuple(found)


def _read(table: Table, anchored: bool) -> Diagnosis:
    consequence = table.get("consequence", bool, False)
    found = Diagnosis(
        pattern=_pattern(table, anchored, ("",) if consequence else _MEANINGLESS),
        cause=table.require("cause", str, ""),
        cure=table.require("cure", str, ""),
        documented=table.get("documented", str, "") or None,
        why=table.get("why", str, "") or None,
        document=table.require("document", str, ""),
        section=table.require("section", str, ""),
        versions=table.get("versions", str, "") or None,
        consequence=consequence,
        anchored=anchored,
    )
    table.close()
    return found


def _pattern(table: Table, anchored: bool, refused: Sequence[str]) -> re.Pattern[str]:
    text = table.require("pattern", str, "").translate(_QUOTES)
    try:
        if _ENDLESS.search(re.sub(r"\\.", "", text)):
            raise re.error("a group is repeated without a limit, which some texts never get through")
        pattern = re.compile(f"{_START}(?:{text})" if anchored else text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        table.fault("pattern", f"found {text!r}, expected a regular expression: {error}")
        return re.compile("(?!)")
    broad = next((said for said in refused if pattern.search(said)), None)
    if broad is not None and text:
        table.fault("pattern", f"found {text!r}, expected one that says more: it matches {broad!r}")
    return pattern


def diagnose(text: str, diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    """The entry for the error that counts in `text`, or None. Its cure has what the text itself says, as a version."""
    found = explain(text, diagnoses)
    return found.diagnosis if found else None


def explain(text: str, diagnoses: Sequence[Diagnosis]) -> Explanation | None:
    """What is known of the error that counts in `text`; None where that is nothing."""
    search = _Search(read_lines(text), tuple(diagnoses))
    decided = search.decide()
    if decided is None:
        return None
    diagnosis, others = decided.diagnosis, dict[str, Diagnosis]()
    for other in search.known():
        causes = {diagnosis.cause, *(entry.cause for entry in others.values())}
        if not other.diagnosis.consequence and other.diagnosis.cause not in causes:
            others.setdefault(other.error, other.diagnosis)
    return replace(decided, others=tuple(others.items())[:OTHERS])


def consequence(text: str, diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    """The entry of a text that names nothing but a consequence: what is missing to explain it."""
    search = _Search(read_lines(text), tuple(diagnoses))
    return next((found.diagnosis for found in search.known() if found.diagnosis.consequence), None)


class _Search:
    """The lines of one text, looked up in a table from the last one on. What a line matches is found once."""

    __slots__ = ("_any_of", "_found", "_lines", "_table", "_wrapped")

    def __init__(self, lines: Sequence[Line], table: tuple[Diagnosis, ...]) -> None:
        self._lines = lines
        self._table = table
        self._any_of = _any_of(table)
        self._wrapped = WRAPPED
        self._found: dict[int, Explanation | None] = {}

    def decide(self) -> Explanation | None:
        """The last error that counts."""
        fallback = None
        for position in range(len(self._lines) - 1, -1, -1):
            line = self._lines[position]
            if line.level is Level.INFO:
                continue
            found = self._at(position)
            if found is not None and not found.diagnosis.consequence:
                if line.level in (Level.ERROR, Level.PLAIN):
                    return found
                fallback = fallback or found
            elif found is None and line.level is Level.ERROR and line.chain is not Chain.DIRECT_CAUSE:
                return None
        return fallback

    def known(self) -> Iterator[Explanation]:
        """All known errors, the last one first."""
        positions = (place for place in range(len(self._lines) - 1, -1, -1) if self._lines[place].level is not Level.INFO)
        return itertools.islice((found for place in positions if (found := self._at(place))), KNOWN)

    def _at(self, position: int) -> Explanation | None:
        """What the message that this line is of matches first, wrapped or not."""
        if position not in self._found:
            self._found[position] = self._look_up(position)
        return self._found[position]

    def _look_up(self, position: int) -> Explanation | None:
        found = self._starting(position)
        if found is None:
            return None
        # A message that is wrapped may match from its second line on, too: it counts from its first.
        for first in range(position - 1, max(position - JOINED, -1), -1):
            if self._lines[first + 1].level is not Level.PLAIN:
                break
            found = self._starting(first, reaching=position) or found
        text, entry, match = found
        return Explanation(diagnosis=_filled(entry, match), error=text)

    def _starting(self, position: int, reaching: int | None = None) -> tuple[str, Diagnosis, re.Match[str]] | None:
        """The first entry whose match starts in this line, and ends in the line `reaching`."""
        start = max(len(self._lines[position].text), 1)
        before = sum(len(line.text) for line in self._lines[position : reaching or position])
        for text, number in joined(self._lines, position).items():
            if number > 1:
                self._wrapped -= len(text)
                if self._wrapped < 0:
                    break
            if (reaching is not None and number <= reaching - position) or not self._any_of.search(text):
                continue
            for entry in self._table:
                match = entry.pattern.search(text)
                if match and match.start() < start and match.end() > before:
                    return text, entry, match
        return None


def _filled(entry: Diagnosis, match: re.Match[str]) -> Diagnosis:
    """The entry with what the text itself says in the place of `{name}`."""
    groups = {name: value or "" for name, value in match.groupdict().items()}
    if not groups:
        return entry

    def fill(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: groups.get(found[1], found[0]), text)

    return replace(entry, cause=fill(entry.cause), cure=fill(entry.cure))


@functools.lru_cache(maxsize=8)
def _any_of(table: tuple[Diagnosis, ...]) -> re.Pattern[str]:
    """One pattern that matches wherever one of the table does: most lines of a text match none, and are done with at once."""
    loose = [entry.pattern.pattern for entry in table if not entry.anchored]
    fixed = [entry.pattern.pattern.removeprefix(_START) for entry in table if entry.anchored]
    parts = ([_START + "(?:" + "|".join(fixed) + ")"] if fixed else []) + [f"(?:{part})" for part in loose]
    try:
        return re.compile(re.sub(r"\(\?P<\w+>", "(?:", "|".join(parts) or "(?!)"), re.IGNORECASE)
    except re.error:  # a back reference, or flags within a pattern: then each is tried
        return re.compile("")
