"""The facts of a lock: the fields that stand for all of its packages, and how they differ from those of another, in words."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from envgen.core.target import Target
from envgen.lock.model import Lock, LockedIndex, LockedModel
from envgen.sources import Wheel

FACTS = ("description", "target", "platform", "as_of", "python", "base", "cuda", "driver", "tiers", "layers", "env", "indexes", "model")
"""The fields of a lock that say in words what its digest of the inputs can only say is different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """A field that differs, and its value on either side as a user would write it."""

    name: str
    before: str
    after: str


def changed_facts(before: Lock, after: Lock) -> Iterator[HeaderField]:
    """The facts that differ, each with its whole value."""
    for name in FACTS:
        old, new = (_fact(lock, name) for lock in (before, after))
        if old != new:
            yield HeaderField(name=name, before=shown(old), after=shown(new))


def _fact(lock: Lock, name: str) -> object:
    value = getattr(lock, name)
    return value.slug if isinstance(value, Target) else value


def shown(value: object) -> str:
    """A fact of a lock as a user would write it."""
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, LockedIndex):
        return f"{value.name} ({value.url} for {', '.join(value.packages)})"
    if isinstance(value, LockedModel):
        return ", ".join(_model(value))
    if isinstance(value, tuple):
        pairs = (f"{part[0]}={part[1]}" if isinstance(part, tuple) else shown(part) for part in value)
        return ", ".join(pairs) or "none"
    return "none" if value is None else str(value) or "none"


def _model(model: LockedModel) -> Iterator[str]:
    sha256 = model.source.sha256 if isinstance(model.source, Wheel) else model.source.digest.partition(":")[2]
    yield f"{model.name} (sha256 {sha256[:12]})"
    if model.prompt:
        yield f"asked {model.prompt!r}"
    if model.expect:
        yield f"must answer {model.expect!r}"
