"""The expected environment of a job, and the actual one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import PurePosixPath
from typing import Any, cast

import harness

SHOWN = 10


@dataclass(frozen=True)
class Tree:
    """The expected tree; `files` maps paths relative to `prefix` to their allowed contents and mode."""

    prefix: str
    site_packages: str
    files: Mapping[str, Mapping[str, Any]]
    directories: frozenset[str]

    @property
    def sources(self) -> Mapping[str, str]:
        """The sources that the build compiles, each with its byte code; relative paths."""
        inside = f"{self.site_packages}/"
        return {path: cache_from_source(path) for path in self.files if path.startswith(inside) and path.endswith(".py")}


@dataclass(frozen=True)
class TreeEntry:
    """An entry under the prefix; `path` is relative to it, "." for the prefix itself."""

    path: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)


def of(job: harness.Job) -> Tree:
    """Return the tree that the job expects; raise harness.Failed for an inconsistent job."""
    expected = job.get("expected")
    if not isinstance(expected, dict):
        raise harness.Failed(f"unexpected type {type(expected).__name__} (expected object) in the job at 'expected'")
    prefix = harness.text(job, "prefix")
    if expected.get("prefix") != prefix:
        raise harness.Failed(f"the job expects files for {expected.get('prefix')} (expected {prefix})")
    return Tree(
        prefix=prefix,
        site_packages=harness.text(expected, "site_packages"),
        files=cast("Mapping[str, Mapping[str, Any]]", expected["files"]),
        directories=frozenset(cast("Sequence[str]", expected["directories"])),
    )


def folders(paths: Iterable[str]) -> set[str]:
    """Return every folder above these relative paths, except for the root."""
    return {str(folder) for path in paths for folder in PurePosixPath(path).parents} - {"."}


def walk(prefix: str) -> Iterator[TreeEntry]:
    """Yield `prefix` and everything under it, without following links."""
    yield TreeEntry(".", os.lstat(prefix))
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(f"{prefix}/{folder}") as entries:
            for found in entries:
                entry = TreeEntry(f"{folder}{found.name}", found.stat(follow_symlinks=False))
                if entry.is_directory:
                    pending.append(f"{entry.path}/")
                yield entry


def report(findings: Sequence[str]) -> None:
    """Raise harness.Failed with the count and the first findings, if there are any."""
    if not findings:
        return
    count = f"{len(findings)} finding" + ("s" if len(findings) > 1 else "")
    rest = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    raise harness.Failed(f"{count}: " + "; ".join(sorted(findings)[:SHOWN]) + rest)
