"""Resolvers turn requirements into one version per package. The adapters are `uv` and `piptools`.

Other packages import only the interface defined here; the command line chooses an adapter.
Raises ResolutionError and its subclasses (3), and UsageError (2) for an unsupported target.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from envgen.core.target import Target
from envgen.profiles import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    """The requirements and constraints (PEP 508) to resolve for a target, as of an instant.

    `moved` are packages with an instant of their own.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    target: Target
    as_of: dt.datetime
    moved: tuple[tuple[str, dt.datetime], ...]
    indexes: tuple[Index, ...]

    def index_of(self, package: str) -> str:
        """The name of the only index that `package` comes from."""
        return next((index.name for index in self.indexes if package in index.packages), "default")

    def cutoff(self, package: str) -> dt.datetime:
        return dict(self.moved).get(package, self.as_of)

    def publishes_times(self, package: str) -> bool:
        return all(index.upload_times for index in self.indexes if package in index.packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One version per package, by normalised name; file, digest and reasons are added later."""

    versions: tuple[tuple[str, str], ...]


class Resolver(Protocol):
    """A program that resolves."""

    name: str

    def check(self, target: Target) -> None:
        """Raises UsageError for a target that this resolver does not support."""
        ...

    def resolve(self, query: ResolveRequest) -> Resolution:
        """Raises ResolutionError if there is no solution, IndexUnavailableError if an index does not answer."""
        ...
