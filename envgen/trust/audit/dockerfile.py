"""Parses the image's stages of a lock's Dockerfile: the layers and configuration that they add to the base.

Only the instructions of envgen's template are supported. A project's own template may have others; it is rejected, since an audit could
not tell what the image should be.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envgen.core.errors import UsageError
from envgen.image.layers import EMPTY

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""BuildKit's PATH for a base that sets none."""

_STAGE = re.compile(r"(?m)^FROM (?:--\S+ +)*(?P<below>\S+)(?: +(?:AS|as) +(?P<name>\S+))?\s*$")
_COPY = re.compile(r"--link --from=(?:layer-)?(?P<stage>[\w.-]+) /out/ /")
_WORD = r"""(?:"(?:[^"\\]|\\.)*"|\\["\\$ ]|[^\s"'\\])+"""
_WORDS = re.compile(rf"\s*{_WORD}(?:\s+{_WORD})*\s*")
_PIECE = re.compile(r"""\\(?P<escaped>["\\$ ])|\$\{(?P<name>\w+)\}|\$(?P<bare>[A-Za-z_]\w*)|(?P<quote>")|(?P<unknown>\$)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The names of the layers on top of the base, in order, and the configuration that the image adds to the base's."""

    layers: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    user: str
    workdir: str
    command: tuple[str, ...]


def read_image_config(dockerfile: str, arguments: Mapping[str, str], environment: Mapping[str, str]) -> ImageConfig:
    """The configuration from the image's stages, with these build arguments, on a base with this environment.

    Raises UsageError for an unsupported instruction.
    """
    variables = {"PATH": DEFAULT_PATH, **arguments, **environment}  # ENV takes precedence over ARG, whatever their order
    layers: list[str] = []
    env: dict[str, str] = {}
    labels: dict[str, str] = {}
    single: dict[str, str] = {}
    for line in _image_stages(dockerfile):
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY" and (match := _COPY.fullmatch(rest)):
            layers.append(match["stage"])
        elif instruction == "ENV":
            env |= _pairs(rest, variables, line)
            variables |= env
        elif instruction == "LABEL":
            labels |= _pairs(rest, variables, line)
        elif instruction in ("USER", "WORKDIR", "CMD"):
            single[instruction] = rest
            layers += [EMPTY] if instruction == "WORKDIR" else []
        elif instruction != "ARG":
            raise _not_understood(line)
    return ImageConfig(
        layers=tuple(layers),
        environment=env,
        labels=labels,
        user=single.get("USER", ""),
        workdir=single.get("WORKDIR", ""),
        command=_command(single.get("CMD", "[]"), f"CMD {single.get('CMD')}"),
    )


def _image_stages(dockerfile: str) -> Iterator[str]:
    """The instructions, one per line, of the last stage and the stages below it, lowest first, without FROM."""
    starts = list(_STAGE.finditer(dockerfile))
    ends = [start.start() for start in starts[1:]] + [len(dockerfile)]
    stages = {start["name"]: (start["below"], dockerfile[start.end() : end]) for start, end in zip(starts, ends, strict=True)}
    texts: list[str] = []
    name = starts[-1]["name"] if starts else ""
    while name in stages:
        name, text = stages.pop(name)
        texts.append(text)
    for text in reversed(texts):
        yield from (line for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _pairs(text: str, variables: Mapping[str, str], line: str) -> dict[str, str]:
    """The NAME=VALUE pairs of an instruction, with quotes removed and variables expanded as BuildKit does."""
    pairs = {}
    for word in _words(text, variables, line):
        name, equals, value = word.partition("=")
        if not equals:
            raise _not_understood(line)
        pairs[name] = value
    return pairs


def _words(text: str, variables: Mapping[str, str], line: str) -> Iterator[str]:
    """The words of an instruction without their quotes. Raises UsageError for quoting that our template does not use."""

    def plain(piece: re.Match[str]) -> str:
        if piece["unknown"]:
            raise _not_understood(line)
        name = piece["name"] or piece["bare"]
        return variables.get(name, "") if name else piece["escaped"] or ""

    if not _WORDS.fullmatch(text):
        raise _not_understood(line)
    for word in re.findall(_WORD, text):
        yield _PIECE.sub(plain, word)


def _command(text: str, line: str) -> tuple[str, ...]:
    """The words of a CMD in exec form."""
    try:
        words = json.loads(text)
    except ValueError as error:
        raise _not_understood(line) from error
    if not isinstance(words, list):
        raise _not_understood(line)
    return tuple(map(str, words))


def _not_understood(line: str) -> UsageError:
    known = "COPY --link --from=STAGE /out/ /, ENV, ARG, LABEL, USER, WORKDIR and CMD"
    problem = f"a stage of the image has {line!r}, whose result an audit can't predict: expected {known}"
    return UsageError("templates/Dockerfile.j2", problem, hint="move it into another stage, and copy that stage's /out/")
