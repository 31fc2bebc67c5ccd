"""Wrong input that is nearly right: documents with values of other types, in other places, or with bytes changed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Path = tuple[Any, Any]
"""A table or an array, and a key or a position in it."""

TEXTS = (
    "", " ", "\n", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "é", "𝕏", "²", "١",
    "../../etc/passwd", "/etc/passwd", "..", ".", "-", "--help", "-rf", "'", '"', "\\", "`id`", "$(id)", "${PATH}", "{{ 7 * 7 }}",
    "{% raw %}", "{#", "EOF", "LINES", "# x", "a\nb", "x; y", "x=y", "x,y", "nan", "0", "-1", "1e999", "9" * 30, "true", "default",
    ">=1,<0", "===x", "~=1", "!=*", ">=1.0.*", "1!0", "torch", "torch==2.13.0", "torch ; python_version ~= 'x'", "torch[a,b]>=1",
    "torch; 'a' ~= 'b'", "torch; extras == 'a'", "torch; os_name > python_version", "torch @ https://x.example/y.whl", "(" * 300,
    "http://[", "https://u:p@x.example/", "file:///x", "a" * 300, "sha256:" + "0" * 64, "0" * 64, "py311-linux-amd64", "linux/amd64",
    "3.11", "3.11.16", "installer", "2026-09-22",
)  # fmt: skip
"""Words that mean something to somebody: a shell, a template, a terminal, a path, a resolver."""

texts = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
integers = st.one_of(st.integers(-3, 100), st.sampled_from((2**31, 2**63 - 1, -(2**63), 2**63, 2**64, 10**400)))
moments = st.datetimes(timezones=st.one_of(st.none(), st.just(dt.UTC), st.just(dt.timezone(dt.timedelta(hours=14)))))
leaves = st.one_of(texts, texts, integers, st.floats(), st.booleans(), st.dates(), moments, st.times())
values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)), max_leaves=6)


def places(document: Any) -> Iterator[Path]:
    """Every place in a document that holds something."""
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from places(document[key])


def _extend(draw: st.DrawFn, holder: Any, key: Any) -> None:
    text = holder[key] if isinstance(holder[key], str) else str(holder[key])
    position = draw(st.integers(0, len(text)))
    holder[key] = text[:position] + draw(texts) + text[position:]


def _rename(draw: st.DrawFn, holder: Any, key: Any) -> None:
    value = holder.pop(key)
    holder.update({draw(texts): value}) if isinstance(holder, dict) else holder.append(value)


def _double(draw: st.DrawFn, holder: Any, key: Any) -> None:
    holder.update({draw(texts): deepcopy(holder[key])}) if isinstance(holder, dict) else holder.append(deepcopy(holder[key]))


def _bury(draw: st.DrawFn, holder: Any, key: Any) -> None:
    for _ in range(draw(st.sampled_from((1, 2, 20, 200)))):
        holder[key] = draw(st.sampled_from(([holder[key]], {"a": holder[key]})))


def _replace(draw: st.DrawFn, holder: Any, key: Any) -> None:
    holder[key] = draw(values)


def _remove(draw: st.DrawFn, holder: Any, key: Any) -> None:
    del holder[key]


CHANGES = (_replace, _replace, _replace, _extend, _extend, _remove, _rename, _double, _bury)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """`document` with a few things in it replaced, longer, taken away, renamed, doubled, or put into something else."""
    found = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        if there := list(places(found)):
            holder, key = draw(st.sampled_from(there))
            draw(st.sampled_from(CHANGES))(draw, holder, key)
    return found


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with a byte changed, a piece missing, doubled or put in, or the end cut off."""
    start = draw(st.integers(0, max(len(content) - 1, 0)))
    end = min(len(content), start + draw(st.integers(1, 40)))
    change = draw(st.sampled_from(("flip", "byte", "cut", "end", "double", "insert")))
    if change == "flip":
        return content[:start] + bytes([content[start] ^ 1 << draw(st.integers(0, 7))]) + content[start + 1 :] if content else content
    if change == "byte":
        return content[:start] + draw(st.binary(min_size=1, max_size=1)) + content[start + 1 :]
    if change == "insert":
        return content[:start] + draw(st.one_of(st.binary(max_size=9), texts.map(lambda text: text.encode()))) + content[start:]
    if change == "double":
        return content[:end] + content[start:]
    return content[:start] + (content[end:] if change == "cut" else b"")


ENDLESS = tuple(
    line + b"\n" for line in (b"a = " + b"[" * 5000, b"a" + b".a" * 5000 + b" = 1", b"a = " + b"9" * 5000, b"a = 0x" + b"f" * 5000)
)
"""What has no end that matters: tables and numbers that no file needs."""


def files_like(document: Any, write: Callable[[Any], str]) -> st.SearchStrategy[bytes]:
    """The bytes of a document that is wrong as a document, as a file, or as both."""
    whole = write(document).encode()
    wrong = mutated(document).map(lambda found: write(found).encode())
    endless = st.sampled_from(ENDLESS).map(lambda line: line + whole)
    return st.one_of(wrong, wrong, wrong, damaged(whole), wrong.flatmap(damaged), st.binary(max_size=40), endless)


def toml(document: dict[str, Any]) -> str:
    """A document as TOML; tables within it are inline ones."""
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in document.items())


def _value(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{_text(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case bool():
            return str(value).lower()
        case dt.date() | dt.time():
            return value.isoformat()
        case int():
            return str(value) if abs(value) < 10**300 else hex(value)
        case float():
            return repr(value)
    return _text(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
