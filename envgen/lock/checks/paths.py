"""Compares the paths in the RECORDs of wheels: two wheels must not write the same path with different bytes."""

import csv
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envgen.core.errors import VerificationError
from envgen.core.parallel import map_parallel
from envgen.lock.select import SelectedWheel
from envgen.sources import Packages
from envgen.sources.index import CONNECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class PathConflict:
    """Two packages that write the same paths with different bytes."""

    first: str
    second: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPaths:
    """The result of comparing wheels.

    `unread` are packages without a readable RECORD; `too_large` those whose server does not support range requests, and whose
    wheel is too large to fetch just for this.
    """

    conflicts: tuple[PathConflict, ...] = ()
    unread: tuple[str, ...] = ()
    too_large: tuple[str, ...] = ()


def compare_paths(chosen: Sequence[SelectedWheel], packages: Packages) -> ComparedPaths:
    """Compares all paths of `chosen`. Raises as `Packages.fetch` does, except for invalid wheels."""

    def read(entry: SelectedWheel) -> bytes | str:
        assert entry.file is not None
        try:
            return packages.record(entry.file) or "too large"
        except VerificationError:
            return "unread"

    records = map_parallel(read, chosen, at_once=CONNECTIONS)
    owners: dict[str, tuple[str, str]] = {}
    conflicts: dict[tuple[str, str], list[str]] = {}
    for entry, record in zip(chosen, records, strict=True):
        name = entry.wheel.name
        for path, digest in read_paths(record) if isinstance(record, bytes) else ():
            owner, known = owners.setdefault(path, (name, digest))
            if owner != name and (known != digest or not digest):
                conflicts.setdefault((owner, name), []).append(path)
    return ComparedPaths(
        conflicts=tuple(
            PathConflict(first=first, second=second, paths=tuple(sorted(paths))) for (first, second), paths in conflicts.items()
        ),
        unread=tuple(entry.wheel.name for entry, record in zip(chosen, records, strict=True) if record == "unread"),
        too_large=tuple(entry.wheel.name for entry, record in zip(chosen, records, strict=True) if record == "too large"),
    )


def read_paths(record: bytes) -> Iterator[tuple[str, str]]:
    """Each path in a RECORD, relative to site-packages, with its hash; the RECORD itself is left out."""
    try:
        for row in csv.reader(record.decode(errors="replace").splitlines()):
            path = _installed(row[0]) if row else ""
            if path and not path.endswith((".dist-info/RECORD", "/")):
                yield path, row[1] if len(row) > 1 else ""
    except csv.Error:  # a line longer than any path: the rows before it still count
        return


def _installed(path: str) -> str:
    """The installed location of `path` in a wheel: the schemes of its .data folder are elsewhere (PEP 427)."""
    folder, _, rest = path.partition("/")
    scheme, _, inner = rest.partition("/")
    if folder.endswith(".data") and inner:
        places = {"purelib": "", "platlib": "", "scripts": "../../../bin/", "data": "../../../", "headers": f"../../../include/{folder}/"}
        path = places.get(scheme, f"{folder}/{scheme}/") + inner
    return posixpath.normpath(path)
