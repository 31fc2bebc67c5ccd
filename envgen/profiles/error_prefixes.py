"""Strip log prefixes: times, levels, container names, ranks, quote marks and boxes."""

import enum
import re


class Level(enum.Enum):
    """How a line was logged."""

    ERROR = "error"
    LOGGED = "logged"
    """An error only by its logger's level, which is repeated on every line of a message."""
    WARNING = "warning"
    INFO = "info"
    MENTIONED = "mentioned"
    """An exception named on an info line, which counts only if nothing else is an error."""
    PLAIN = "plain"


_LEVELS = {
    **dict.fromkeys(("error", "err", "critical", "crit", "fatal", "severe", "failed", "e", "f"), Level.ERROR),
    **dict.fromkeys(("warning", "warn", "w"), Level.WARNING),
    **dict.fromkeys(("info", "debug", "trace", "notice", "note", "hint", "help", "i", "d"), Level.INFO),
}

_TIME = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?: ?(?:AM|PM))?"
_DATE = r"(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d[-/]\d\d(?:[-/]\d{2,4})?|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2})"
_ZONE = r"(?:Z|[ ]?[+-]\d\d:?\d\d|[ ]UTC)?"
_WHEN = rf"(?:{_DATE}(?:T|,? ){_TIME}{_ZONE}|{_DATE}(?=\s)|{_TIME}{_ZONE}(?=[\s\]|]))"
_WORDS = r"ERROR|ERR|CRITICAL|CRIT|FATAL|SEVERE|WARNING|WARN|INFO|DEBUG|TRACE|NOTICE"
_SOURCE = r"[\w./\\-]{1,120}\.(?:py|cpp|cc|cu|cuh|h|hpp|go|rs|c)(?::\d+)?"

_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        # BuildKit, with and without step number; docker compose and kubectl; a quote from a shell or chat.
        r"#\d{1,5} (?:\d{1,6}\.\d{1,3}(?: |$))?",
        r"\d{1,6}\.\d{2,3}(?: |$)",
        r"[A-Za-z0-9][\w.-]{0,80} *\| ?(?=\S| {2})",
        r"\[?pod/[\w./-]{1,200}\]? ",
        r"std(?:out|err) [FP] ",
        r">[> ]{0,8}(?![=>])",
        r"##\[(?P<level>error|warning|debug|command)\]",
        r"::(?P<level>error|warning|notice)[^:\n]{0,300}::",
        # Ranks, workers and processes: torchrun, MPI, Ray, vLLM, srun.
        r"\[(?:rank|default|stdout|stderr|worker|proc|node|gpu)?[ _-]?\d{0,6}(?:,\d+)?\](?:<std(?:err|out)>)?:? ?",
        r"\((?:[^()\n]{1,80} )?(?:pid|rank)=\d+[^()\n]{0,80}\) ?",
        r"\d{1,4}: (?= *(?:Traceback|File |[A-Z]))",
        # Times, alone and in brackets.
        rf"\[{_WHEN}[^\]\n]{{0,40}}\][:,]? ?",
        rf"\({_WHEN}\)[:,]? ?",
        rf"{_WHEN}[:,]? ?",
        r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,9} +\d+ [^\s\]]{1,120}\] ",
        r"\[(?P<level>[IWEFD])(?:\d{4})? [^\]\n]{1,120}\] ?",
        # Levels, as common loggers write them.
        rf"\[(?P<level>{_WORDS})(?:[ |:][^\]\n]{{0,120}})?\][ :-]{{0,3}}",
        rf"(?:[-|] ?)?(?:[\w.-]{{1,80}} [-|] )?(?P<level>{_WORDS}) *[-|>]+ (?:[\w.<>-]{{1,80}}:[\w.<>-]{{1,80}}:\d+ [-|] )?",
        rf"(?P<level>{_WORDS}):(?:[A-Za-z_][\w.]{{0,80}}:(?! )| {{0,8}})",
        rf"(?P<level>{_WORDS})(?: {{1,8}}|$)(?:\[[^\]\n]{{1,120}}\] ?)?",
        r"(?P<level>warning|note|hint|help|notice|error): ",
        r"\[(?P<level>error|warning|warn|info|debug|notice)\] ?",
        rf"\[{_SOURCE}\]:? ?",
        rf"{_SOURCE} >> ",
        r"\{[\w./-]{1,80}:\d+\} ",
        r">> ",
        r"(?:time=\S{1,60} )?level=(?P<level>\w{1,10}) (?:[\w.]+=\S{1,80} ){0,6}(?:msg|error|message)='?",
        # systemd journal and syslog, after the time.
        r"[\w.-]{1,80} [\w./-]{1,80}\[\d+\]: ",
        # pytest, lists, boxes.
        r"(?P<level>E) {2,}(?=\S)",
        r"(?P<level>E): ",
        r"(?P<level>FAILED|ERROR) \S{1,400}::\S{1,400}(?: - |$)",
        "[\u2500-\u257f]+(?:[\u25b6>\u2192] ?| |$)",
        "[|+\u2502\u2503\u2551] ?",
        "[\u00d7\u2717\u2718\u274c\u2757\u26a0\u2022\u25cf\u25b6\u25ba\u2192\u2771\u26d4\U0001f6a8*-](?: +|$)",
    )
)
_SUFFIX = re.compile("[ \u2500-\u257f|]+$")
_OWN_WORDS = ("ERROR:", "error:", "CRITICAL:", "FATAL:", "E:", "##[", "::", "FAILED ", "ERROR tests")
"""Prefixes that programs write themselves, once for each error."""

ROUNDS = 12
"""The most prefixes removed from a line."""


def strip_prefixes(line: str) -> tuple[str, Level]:
    """Return the message of `line` and its level. Indentation is kept, to distinguish frames from messages."""
    level, text = Level.PLAIN, line
    for _ in range(ROUNDS):
        indent = len(text) - len(text.lstrip(" "))
        prefix = next((match for pattern in _PREFIXES if (match := pattern.match(text, indent)) and match.end() > indent), None)
        if prefix is None:
            break
        word = (prefix.groupdict().get("level") or "").lower()
        level = _LEVELS.get(word, level)
        if level is Level.ERROR and word and not prefix[0].startswith(_OWN_WORDS):
            level = Level.LOGGED
        text = text[prefix.end() :]
    return _SUFFIX.sub("", text), level
