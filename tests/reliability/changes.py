"""Single changes, chosen by a seeded generator, each with words that repeat it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from envgen.lock.model import digest_of

_HEAD = b"of everything below this line\n"


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A content with one change in it, which `words` describe."""

    content: bytes
    words: str


def one_byte(content: bytes, random: Random) -> Changed:
    """One bit flipped, or one byte replaced, taken out, or put in."""
    place, value = random.randrange(len(content)), random.randrange(256)
    kind = random.choice(("flip", "replace", "remove", "insert"))
    before, after = content[:place], content[place + 1 :]
    if kind == "flip":
        value = content[place] ^ 1 << random.randrange(8)
    elif kind == "replace":
        value = value if value != content[place] else value ^ 1
    elif kind == "insert":
        after = content[place:]
    middle = b"" if kind == "remove" else bytes([value])
    return Changed(content=before + middle + after, words=f"byte {place}: {kind} {value:#04x}")


def one_field(content: bytes, random: Random) -> Changed:
    """The value of one line of a lock in place of that of another."""
    lines = content.split(b"\n")
    places = [number for number, line in enumerate(lines) if b" = " in line]
    while True:
        to, source = random.choice(places), random.choice(places)
        key, _, before = lines[to].partition(b" = ")
        value = lines[source].partition(b" = ")[2]
        if value != before:
            break
    lines[to] = key + b" = " + value
    return Changed(content=b"\n".join(lines), words=f"line {to + 1} has the value of line {source + 1}")


def forged(lock: bytes) -> bytes:
    """`lock` with the digest that its content has now."""
    head, separator, body = lock.partition(_HEAD)
    return re.sub(rb"sha256:[0-9a-f]{64}", digest_of(body).encode(), head, count=1) + separator + body
