"""Parse a pasted error text into lines, without colours, log prefixes, boxes and traceback frames.

Everything is bounded: only the last 128 Ki characters of a text are read.
"""

import enum
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from envgen.profiles.error_prefixes import Level, strip_prefixes

TEXT_LIMIT = 128 * 1024
"""Characters read from the end of a text, where the final error is."""

LINES = 2000
LINE_LIMIT = 4000
"""The most lines read, and characters of one; a longer line keeps its start and end."""

JOINED = 6
"""The most lines a message may be wrapped over."""


class Chain(enum.Enum):
    """How a traceback relates to the one above it."""

    NONE = "none"
    DIRECT_CAUSE = "direct cause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The message on one line, its log level, and whether the error above is its direct cause."""

    text: str
    level: Level = Level.PLAIN
    chain: Chain = Chain.NONE
    indent: int = 0


_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)"  # OSC: titles and links
    r"|(?:\x1b\[|\x9b)[0-?]{0,40}[ -/]{0,4}[@-~]"  # CSI: colours and cursors
    r"|\x1b[@-Z\\^_=>()][0-9A-B]?"
    r"|(?:\\x1b|\\u001b|\\033|\\e|\^\[)\[[0-9;?]{0,40}[A-Za-z]"  # escaped by a log
    r"|\[(?:\d{1,3}(?:;\d{1,3}){0,8})?m"  # without the escape character
)
_INVISIBLE = re.compile("[\x00\x07\u00ad\u200b-\u200f\u2060\ufe0f\ufeff]|.?\x08")
_SPACES = re.compile("[\t\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_QUOTES = re.compile("\\\\{0,3}[\"'`\u00b4\u2018-\u201f\u2032\u2033\u00ab\u00bb]")
_BYTES = re.compile(r"(?<![\w.])[bBuU](?=')")
_ESCAPED_TRACEBACK = re.compile(r"Traceback \(most recent call last\):(?P<slashes>\\{1,8})n")
_ESCAPED_BREAK = re.compile(r"\\{1,4}r?\\{0,4}n(?=\s*(?:File ['\"\\]|[A-Za-z_][\w.]{0,120}(?:Error|Exception)\b)|\s{2,}|['\"]?\)?\s*$)")

_LOG_KEYS = ("log", "message", "msg", "error", "err", "text", "detail", "reason", "stderr", "exc_info", "exception", "stack", "traceback")

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r"\s*File '.{1,600}', line \d+")
_FRAME_NOISE = re.compile(
    r"\[Previous line repeated|-+> *\d+ |Cell In ?\[|Input In ?\[|\[?<ipython-input|\S{1,400}\.py in \S|File .{1,600}:\d+, in "
    r"|\d+ (?= )|[~^\s]+$|\.\.\.|\(\.\.\.\)"
)
_EXCEPTION_LINE = re.compile(r"[A-Za-z_][\w.]{0,200}(?:: |:?$)")
_BOX_END = re.compile("\\s*[\u2570\u2514\u255a+][\u2500\u2501\u2550-]{2,}")
_BOX_SIDES = "|\u2502\u2503\u2551"
_BOX_TOP = re.compile("\\s*[\u256d\u250c\u2554+][\u2500\u2501\u2550-]")
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception"
_HANDLING = "During handling of the above exception, another exception occurred"

EXCEPTION = re.compile(
    r"(?:^|(?<=[\s:('>\]|]))"
    r"(?:[A-Za-z_]\w{0,80}\.){0,8}"
    r"[A-Z]\w{0,80}?(?P<kind>Error|Exception|Interrupt|Exit|Fault|Failure|Timeout|Refused|Warning|OfflineModeIsEnabled)"
    r"(?:\(\w{0,80}\)|\[\w{0,80}\])?(?:: ?|$)"
)
"""An exception's name, before its message or alone on a line."""

_CRASH = re.compile(
    r"(?:[\w./\\-]{1,200}: )?(?:fatal |internal |runtime )?(?:error|fatal|panic)(?:\[\w+\])?: "
    r"|(?:docker: )?Error response from daemon"
    r"|Segmentation fault|Illegal instruction|Bus error|Fatal Python error|terminate called|Killed$|Abgebrochen|Aborted",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:raise|return|yield|await|assert) \w+[.(]|raise$|import [\w.]+(?: as \w+)?$|from [\w.]+ import |def \w+\(|class \w+[(:]"
    r"|(?:if|elif|with|for|while|except) .{1,300}:$|(?:else|try|finally):$"
)
_SOURCE_POINTER = re.compile(r"(?:\S{1,400}\.py|<[\w -]{1,40}>):\d+: (?:in \S+|[\w.]+)?$")


def read_lines(text: str) -> tuple[Line, ...]:
    """Return the message lines of `text` in order, without frames and source code."""
    return tuple(_levelled(line) for line in _without_frames(_plain_lines(text)) if line.text)


def clean(text: str) -> str:
    """Normalise `text`: no colours, no invisible characters, one kind of quote."""
    text = _SPACES.sub(" ", _INVISIBLE.sub("", _ESCAPES.sub("", text)))
    if "&" in text:
        text = html.unescape(text)
    return _BYTES.sub("", re.sub("'{2,}", "'", _QUOTES.sub("'", text)))


def joined(lines: Sequence[Line], position: int) -> dict[str, int]:
    """Return the possible unwrapped texts that start at `position`, shortest first, with the number of lines joined."""
    parts = [lines[position]]
    variants = {parts[0].text: 1}
    for following in lines[position + 1 : position + JOINED]:
        if following.level is not Level.PLAIN:
            break
        parts.append(following)
        for text in _variants(parts):
            variants.setdefault(text, len(parts))
    return variants


def _variants(parts: Sequence[Line]) -> tuple[str, ...]:
    """Join wrapped lines in several ways: between words, at hyphens, at a fixed column, and with lost spaces restored."""
    texts = [part.text for part in parts]
    spaced = [part.text if part.indent != 1 else f" {part.text}" for part in parts]
    width = max(map(len, spaced))
    column = "".join(text if len(text) == width else f"{text} " for text in spaced)
    hyphens = "".join(text if text.endswith("-") else f"{text} " for text in texts)
    return " ".join(texts), hyphens.strip(), "".join(spaced).strip(), re.sub("  +", " ", column).strip()


def _plain_lines(text: str) -> Iterator[str]:
    """Yield the last lines of `text`, decoded from log formats and limited to LINE_LIMIT characters."""
    cut = text[-TEXT_LIMIT:]
    if len(cut) < len(text):
        cut = cut.partition("\n")[2] or cut
    raw = _ESCAPES.sub("", cut).splitlines()[-LINES:]
    lines: list[str] = []
    for line in raw:
        for inner in _from_json(line).splitlines() or [""]:
            lines += clean(_unescaped(inner)).splitlines() or [""]
    for line in lines[-LINES:]:
        yield line if len(line) <= LINE_LIMIT else f"{line[: LINE_LIMIT * 3 // 4]} {line[-LINE_LIMIT // 4 :]}"


def _unescaped(line: str) -> str:
    """Restore line breaks that repr escaped, but not the n of C:\\new."""
    match = _ESCAPED_TRACEBACK.search(line)
    if match:
        return re.sub(r"(?<!\\)" + re.escape(match["slashes"]) + "n", "\n", line)
    return _ESCAPED_BREAK.sub("\n", line)


def _from_json(line: str) -> str:
    """Return the message of a JSON log line; any other line unchanged."""
    start = line.find("{")
    if not 0 <= start <= 200 or not line.rstrip().endswith("}") or '"' not in line:
        return line
    try:
        record = json.loads(line[start:])
    except (ValueError, RecursionError):
        return line
    if not isinstance(record, dict):
        return line
    level = record.get("level", record.get("severity", record.get("levelname", "")))
    messages = [str(record[key]) for key in _LOG_KEYS if isinstance(record.get(key), str | list)]
    text = "\n".join(messages)
    return f"{level.upper()}: {text}" if isinstance(level, str) and level and text else text or line


def _without_frames(lines: Iterator[str]) -> Iterator[Line]:
    """Yield the lines without log prefixes, traceback frames and boxes."""
    state, before = _Traceback(), Level.PLAIN
    for raw in lines:
        text, level = strip_prefixes(raw)
        # Loggers repeat the level on every line of a message; only the first line counts as an error.
        before, above = level, before
        if level is Level.LOGGED:
            level = Level.PLAIN if above is Level.LOGGED else Level.ERROR
        if state.passes_over(raw, text):
            continue
        chain = state.chain_of(text)
        if chain is None:
            continue
        final, state.final = state.final, False
        if final and state.ignored:
            state.ignored = False
            continue
        message = text.strip()
        level = Level.ERROR if final else level
        yield Line(text=message, level=level, chain=chain if final else Chain.NONE, indent=len(text) - len(text.lstrip()))


class _Traceback:
    """The reader's state within a traceback."""

    __slots__ = ("box", "final", "frames", "ignored", "pending", "source")

    def __init__(self) -> None:
        self.frames = self.box = self.source = self.final = self.ignored = False
        self.pending = Chain.NONE

    def passes_over(self, raw: str, text: str) -> bool:
        """Whether to skip this line as part of a traceback other than its message."""
        if text.startswith("Exception ignored in"):
            self.ignored = True  # failures during shutdown are not why a program ended
            return True
        if _TRACEBACK in text:
            self.box = bool(_BOX_TOP.match(raw)) or "\u2500" in raw
            self.frames = not self.box
            return True
        if self.box:
            ends = bool(_BOX_END.match(raw))
            self.box = not ends and raw.lstrip()[:1] in _BOX_SIDES
            self.final = ends
            if self.box or ends:
                return True
        if _FRAME.match(text):
            self.frames = self.source = True
            return True
        return self._within_frames(text)

    def _within_frames(self, text: str) -> bool:
        source, self.source = self.source, False
        if not self.frames:
            return False
        if not text.strip() or text[0] == " " or _FRAME_NOISE.match(text):
            return True
        # Without indentation, the line after a frame is its source unless it looks like an exception.
        if source and not (_EXCEPTION_LINE.match(text) or EXCEPTION.match(text)) and not text.startswith((_DIRECT_CAUSE, _HANDLING)):
            return True
        self.frames, self.final = False, True
        return False

    def chain_of(self, text: str) -> Chain | None:
        """Return how this line's error relates to the one above; None if the line only states that relation."""
        if _DIRECT_CAUSE in text or _HANDLING in text:
            self.pending = Chain.DIRECT_CAUSE if _DIRECT_CAUSE in text else Chain.NONE
            self.final = False
            return None
        if not self.final:
            return Chain.NONE
        chain, self.pending = self.pending, Chain.NONE
        return chain


def _levelled(line: Line) -> Line:
    """Trim the line to start at its last exception, and set its level from its text."""
    if _SOURCE_POINTER.match(line.text) or (line.level is not Level.ERROR and _CODE.match(line.text)):
        return replace(line, level=Level.INFO)
    last = None
    for last in EXCEPTION.finditer(line.text):  # noqa: B007  (the last one)
        pass
    if last is not None:
        return _of_exception(line, last)
    if _CRASH.match(line.text) and line.level is not Level.INFO:
        return replace(line, level=Level.ERROR)
    return line


def _of_exception(line: Line, found: re.Match[str]) -> Line:
    text = line.text[found.start() :]
    if found["kind"] == "Warning":
        return replace(line, text=text, level=Level.ERROR if line.level is Level.ERROR else Level.WARNING)
    return replace(line, text=text, level=Level.MENTIONED if line.level is Level.INFO else Level.ERROR)
