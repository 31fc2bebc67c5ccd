"""Read error tables, and find the entry that an error text matches.

The last error of a text counts; if it is unknown, so is the text. There are two exceptions: an error that only follows from another
(a consequence), and one whose traceback names the error above as its direct cause.
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
    """A table entry: the pattern of a message, its cause and cure, the documented cure, and why ours differs.

    `versions` are the versions it applies to, if limited. A `consequence` only shows that something else failed.
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
    """The entry for the decisive error, the text it matched, and the other known errors."""

    diagnosis: Diagnosis
    error: str
    others: tuple[tuple[str, Diagnosis], ...] = ()


_START = r"(?:^|(?<=[:;>|)\].,!*'=-] )|(?<=['\[(=])|(?<=[/\\])(?=lib|flash_attn|_torch))"
"""Where a message may start: on its own or after a delimiter, but not mid-sentence."""

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
"""Texts too generic to diagnose: a pattern that matches one is invalid."""

_QUOTES = str.maketrans({'"': "'", "`": "'"})
"""Quotes are normalised in patterns as they are in texts."""

_ENDLESS = re.compile(r"\)(?:[*+]|\{\d+,\})")
"""An unbounded repeated group, which can take exponential time on a hostile text."""

WRAPPED = 200_000
"""The most characters searched for wrapped lines, from the end; a limit for hostile texts."""

KNOWN = 50
OTHERS = 5
"""The most known errors searched for in a text, and reported besides the decisive one."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def read_diagnoses(data: Mapping[str, object], label: str) -> tuple[Diagnosis, ...]:
    """Read the entries of an error table, in file order: more specific ones come first. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    anchored = table.get("anchored", bool, False)
    diagnoses = [_read(inner, anchored) for inner in table.array_of_tables("error")]
    table.close()
    faults.raise_any()
    return tuple(diagnoses)


def _read(table: Table, anchored: bool) -> Diagnosis:
    consequence = table.get("consequence", bool, False)
    diagnosis = Diagnosis(
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
    return diagnosis


def _pattern(table: Table, anchored: bool, refused: Sequence[str]) -> re.Pattern[str]:
    text = table.require("pattern", str, "").translate(_QUOTES)
    try:
        if _ENDLESS.search(re.sub(r"\\.", "", text)):
            raise re.error("a group is repeated without a limit, which some texts never get through")
        pattern = re.compile(f"{_START}(?:{text})" if anchored else text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        table.fault("pattern", f"found {text!r}, expected a regular expression: {error}")
        return re.compile("(?!)")
    broad = next((example for example in refused if pattern.search(example)), None)
    if broad is not None and text:
        table.fault("pattern", f"found {text!r}, expected one that says more: it matches {broad!r}")
    return pattern


def diagnose(text: str, diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    """Return the entry for the decisive error in `text`, or None. Its placeholders are filled in from the text."""
    explanation = explain(text, diagnoses)
    return explanation.diagnosis if explanation else None


def explain(text: str, diagnoses: Sequence[Diagnosis]) -> Explanation | None:
    """Explain the decisive error in `text`; None if it is unknown."""
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
    """Return the last consequence in `text`, which shows what is missing to explain it; None if there is none."""
    search = _Search(read_lines(text), tuple(diagnoses))
    return next((explanation.diagnosis for explanation in search.known() if explanation.diagnosis.consequence), None)


class _Search:
    """Searches the lines of one text from the last one up, caching the match of each."""

    __slots__ = ("_any_of", "_found", "_lines", "_table", "_wrapped")

    def __init__(self, lines: Sequence[Line], table: tuple[Diagnosis, ...]) -> None:
        self._lines = lines
        self._table = table
        self._any_of = _any_of(table)
        self._wrapped = WRAPPED
        self._found: dict[int, Explanation | None] = {}

    def decide(self) -> Explanation | None:
        """Return the decisive error, or None if it is unknown."""
        fallback = None
        for position in range(len(self._lines) - 1, -1, -1):
            line = self._lines[position]
            if line.level is Level.INFO:
                continue
            explanation = self._at(position)
            if explanation is not None and not explanation.diagnosis.consequence:
                if line.level in (Level.ERROR, Level.PLAIN):
                    return explanation
                fallback = fallback or explanation
            elif explanation is None and line.level is Level.ERROR and line.chain is not Chain.DIRECT_CAUSE:
                return None
        return fallback

    def known(self) -> Iterator[Explanation]:
        """All known errors, last one first."""
        positions = (place for place in range(len(self._lines) - 1, -1, -1) if self._lines[place].level is not Level.INFO)
        return itertools.islice((explanation for place in positions if (explanation := self._at(place))), KNOWN)

    def _at(self, position: int) -> Explanation | None:
        """The first match of the message this line belongs to, wrapped or not."""
        if position not in self._found:
            self._found[position] = self._look_up(position)
        return self._found[position]

    def _look_up(self, position: int) -> Explanation | None:
        result = self._starting(position)
        if result is None:
            return None
        # A wrapped message may also match from its second line; use its first.
        for first in range(position - 1, max(position - JOINED, -1), -1):
            if self._lines[first + 1].level is not Level.PLAIN:
                break
            result = self._starting(first, reaching=position) or result
        text, entry, match = result
        return Explanation(diagnosis=_filled(entry, match), error=text)

    def _starting(self, position: int, reaching: int | None = None) -> tuple[str, Diagnosis, re.Match[str]] | None:
        """The first entry whose match starts on this line and, if given, extends to the line `reaching`."""
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
    """Fill the placeholders `{name}` of an entry from its match."""
    groups = {name: value or "" for name, value in match.groupdict().items()}
    if not groups:
        return entry

    def fill(text: str) -> str:
        return _PLACEHOLDER.sub(lambda placeholder: groups.get(placeholder[1], placeholder[0]), text)

    return replace(entry, cause=fill(entry.cause), cure=fill(entry.cure))


@functools.lru_cache(maxsize=8)
def _any_of(table: tuple[Diagnosis, ...]) -> re.Pattern[str]:
    """One pattern that matches wherever any entry does, to skip most lines quickly."""
    loose = [entry.pattern.pattern for entry in table if not entry.anchored]
    fixed = [entry.pattern.pattern.removeprefix(_START) for entry in table if entry.anchored]
    parts = ([_START + "(?:" + "|".join(fixed) + ")"] if fixed else []) + [f"(?:{part})" for part in loose]
    try:
        return re.compile(re.sub(r"\(\?P<\w+>", "(?:", "|".join(parts) or "(?!)"), re.IGNORECASE)
    except re.error:  # back references or inline flags: try every entry instead
        return re.compile("")
