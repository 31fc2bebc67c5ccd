"""The header of a lock, the fields that follow from the profile alone, and the differences between two headers."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from envgen.core.target import Target
from envgen.lock.model import Lock, LockedIndex, LockedModel, input_digest
from envgen.profiles import Bound, Index, Profile
from envgen.profiles.layer_groups import groups_for
from envgen.sources import Wheel

FACTS = ("description", "target", "platform", "as_of", "python", "base", "cuda", "driver", "tiers", "layers", "env", "indexes", "model")
"""The fields that show how the inputs of two locks differ; their digest only shows that they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """A changed field, with both values as a user would write them."""

    name: str
    before: str
    after: str


def changed_facts(before: Lock, after: Lock) -> Iterator[HeaderField]:
    """The facts that differ, each with its full value."""
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


def lock_without_packages(profile: Profile, bounds: Sequence[Bound], target: Target) -> Lock:
    """The lock without its wheels: everything that follows from its inputs alone."""
    profile = profile.for_target(target)
    base = profile.base(target)
    return Lock(
        profile=profile.name,
        description=profile.description,
        platform=target.platform,
        as_of=profile.as_of_instant(),
        inputs=_digest(profile, bounds, target),
        python=target.python_full,
        base=base,
        tiers=profile.tiers if base else (),
        layers=tuple(group.name for group in groups_for(profile.layers)),
        env=profile.env,
        indexes=tuple(LockedIndex(name=index.name, url=index.url, packages=index.packages) for index in profile.indexes_for(target)),
        installer=None,
        packages=(),
        cuda=profile.cuda,
        driver=profile.driver,
    )


def _digest(profile: Profile, bounds: Sequence[Bound], target: Target) -> str:
    left_out = ("origins", "pythons", "platforms", "indexes", "entries")
    return input_digest(
        {
            **{key: value for key, value in _set(profile).items() if key not in left_out},
            "indexes": [_set(index) for index in profile.indexes_for(target)],
            "base": profile.base(target),
            "bounds": [_set(bound) for bound in bounds],
            "target": asdict(target),
        }
    )


def _set(value: Profile | Index | Bound) -> dict[str, object]:
    """The fields that are set: a new, empty field must not make every lock stale."""
    return {key: field for key, field in asdict(value).items() if field and not (key == "public" and isinstance(value, Index))}
