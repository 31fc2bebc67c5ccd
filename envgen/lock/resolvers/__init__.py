"""Resolvers: what turns requirements into one version a package. The adapters are `uv` and `piptools`.

Here is the seam between them and the rest, which is all that others import; the command line alone chooses an adapter.
Raises ResolutionError and its kin (3), and UsageError (2) for a target that a resolver can't do.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from envgen.core.target import Target
from envgen.profiles import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    """What is to be resolved: requirements and constraints (PEP 508), for a target, as of an instant.

    `moved` are the packages that are read as of an instant of their own.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    target: Target
    as_of: dt.datetime
    moved: tuple[tuple[str, dt.datetime], ...]
    indexes: tuple[Index, ...]

    def index_of(self, package: str) -> str:
        """The name of the one index that `package` comes from."""
        return next((index.name for index in self.indexes if package in index.packages), "default")

    def cutoff(self, package: str) -> dt.datetime:
        return dict(self.moved).get(package, self.as_of)

    def publishes_times(self, package: str) -> bool:
        return all(index.upload_times for index in self.indexes if package in index.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One version for each package, by normalised name; file, digest and reasons are filled in elsewhere."""

    versions: tuple[tuple[str, str], ...]


class Resolver(Protocol):
    """A program that resolves."""

    name: str

    def check(self, target: Target) -> None:
        """Raises UsageError for a target that this resolver can't do."""
        ...

    def resolve(self, query: ResolveRequest) -> Resolution:
        """Raises ResolutionError when nothing fits, IndexUnavailableError when an index does not answer."""
        ...
