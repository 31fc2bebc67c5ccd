"""The data model of profiles, which `read` loads from TOML."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache

from envgen.core.errors import UsageError
from envgen.core.target import Target
from envgen.profiles.extends import EntriesOnTarget, Entry, lay

TIERS = ("static", "cpu", "quant", "gpu")
"""The smoke tiers a profile can require, in the order they run."""


def not_begun(day: dt.date) -> tuple[str, str] | None:
    """The problem and cure for a future `as_of`, since the indexes would still change; None for any other."""
    today = dt.datetime.now(tz=dt.UTC).date()
    if day <= today:
        return None
    problem = f"found {day}, which has not begun in UTC: what the indexes will have by then is not known"
    return problem, f"use {today} or earlier"


@lru_cache(maxsize=256)
def _lay(entries: tuple[Entry, ...], target: Target) -> EntriesOnTarget:
    """Cached, as every query about requirements needs it."""
    return lay(entries, target.markers())


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A Python of a profile: its full version and, if images are built, its base pinned by digest."""

    version: str
    full: str
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that is the only source of its packages on the given platforms (empty: all).

    Without `upload_times` its packages need an exact version. `public` are the packages that come from the default index although
    this one has them (`*`: all not in `packages`); it affects whether a lock is refused, not its content.
    """

    name: str
    url: str
    packages: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    upload_times: bool = True
    public: tuple[str, ...] = ()

    def serves(self, target: Target) -> bool:
        return not self.platforms or target.platform in self.platforms


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """Wheels that change together and share a layer. A trailing `*` matches any suffix."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile with everything it extends merged in.

    `entries` are the requirements of all its files, and `requirements` those that apply to any target; for a single target, use
    `for_target`. `own` are those that the profile's own file adds. `cuda` is a version such as `13.0` and `driver` the oldest branch
    that runs it, both empty without CUDA. `origins` maps the path of each value, e.g. `index.pytorch-cpu`, to its file. `model` is
    the model to test images with, empty for the embedded one, and `prompt` and `expect` its question and answer.
    """

    name: str
    description: str
    as_of: dt.date
    constraints: tuple[str, ...]
    requirements: tuple[str, ...]
    own: tuple[str, ...]
    platforms: tuple[str, ...]
    pythons: tuple[Python, ...]
    installer: str
    cuda: str = ""
    driver: str = ""
    indexes: tuple[Index, ...] = ()
    layers: tuple[LayerGroup, ...] = ()
    moved: tuple[tuple[str, dt.date], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    tiers: tuple[str, ...] = ("static",)
    model: str = ""
    prompt: str = ""
    expect: str = ""
    origins: tuple[tuple[str, str], ...] = ()
    entries: tuple[Entry, ...] = ()

    def on_target(self, target: Target) -> EntriesOnTarget:
        """The entries that apply to `target`, and what they replace."""
        return _lay(self.entries, target)

    def for_target(self, target: Target) -> "Profile":
        """Return the profile with only the requirements that apply to `target`."""
        if not self.entries:
            return self
        merged = self.on_target(target)
        requirements, own = (tuple(entry.text for entry in entries) for entries in (merged.entries, merged.own))
        return replace(self, requirements=requirements, own=own)

    def remarks(self) -> tuple[str, ...]:
        """Report which entries replace those of a parent or are met by them, with the targets if not all."""
        targets = self.targets()
        slugs: defaultdict[str, list[str]] = defaultdict(list)
        for target in targets:
            for remark in self.on_target(target).remarks:
                slugs[remark].append(target.slug)
        return tuple(text if len(on) == len(targets) else f"{text} ({', '.join(on)})" for text, on in slugs.items())

    def files_of(self, path: str) -> tuple[str, ...]:
        """The files that set the value at `path`; `requirements` and `constraints` can have several."""
        if path == "requirements" and self.entries:
            counting = {entry for target in self.targets() for entry in self.on_target(target).entries}
            return tuple(dict.fromkeys(entry.file for entry in self.entries if entry in counting))
        parts = tuple(dict.fromkeys(file for part, file in self.origins if path == "constraints" and part.startswith("constraints.")))
        return parts or (self.origin(path),)

    def file_of(self, requirement: str) -> str:
        """The file of one of its `requirements`; the topmost one if there are several."""
        return next((entry.file for entry in reversed(self.entries) if entry.text == requirement), self.origin("requirements"))

    @property
    def files(self) -> frozenset[str]:
        """The files that make up the profile."""
        return frozenset([*(file for _, file in self.origins), *(entry.file for entry in self.entries)])

    def origin(self, path: str) -> str:
        """The file that set the value at `path`; the profile's own if none did."""
        return dict(self.origins).get(path, f"profiles/{self.name}.toml")

    @property
    def index_urls(self) -> dict[str, str]:
        """The URL of each index by name, except the default one."""
        return {index.name: index.url for index in self.indexes}

    def targets(self) -> tuple[Target, ...]:
        """Every Python on every platform, in file order."""
        return tuple(Target(python_full=python.full, platform=platform) for python in self.pythons for platform in self.platforms)

    def find_targets(self, slug: str) -> tuple[Target, ...]:
        """The target `slug`, or all targets if it is empty. Raises UsageError."""
        targets = self.targets()
        matching = tuple(target for target in targets if slug in ("", target.slug))
        if not matching:
            known = ", ".join(target.slug for target in targets)
            raise UsageError(f"--target {slug}", f"{self.name} has no such target", hint=f"use one of {known}")
        return matching

    def image_target(self, slug: str) -> Target:
        """The target `slug`, or the first one with an image if it is empty. Raises UsageError."""
        targets = [target for target in self.targets() if self.base(target)]
        for target in targets:
            if slug in ("", target.slug):
                return target
        names = ", ".join(target.slug for target in targets)
        problem = f"no image is built for {slug}" if slug else "no Python of it has a base: it is lock only"
        raise UsageError(f"profile {self.name}", problem, hint=f"images are built for: {names}" if names else "add a base to a Python")

    def python(self, target: Target) -> Python:
        return next(python for python in self.pythons if python.version == target.python)

    def base(self, target: Target) -> str:
        """The base image of `target`, empty if it is lock only."""
        return self.python(target).base if target.is_linux else ""

    def indexes_for(self, target: Target) -> tuple[Index, ...]:
        return tuple(index for index in self.indexes if index.serves(target))

    def as_of_instant(self, package: str = "") -> dt.datetime:
        """The start of the `as_of` day in UTC, for `package` or by default for all."""
        day = dict(self.moved).get(package, self.as_of)
        return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
