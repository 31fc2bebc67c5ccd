"""The RECORD of a wheel, and the one that uv makes of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import normpath


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line; `digest` is as written there, like "sha256=…" or nothing."""

    path: str
    digest: str
    size: int | None

    @property
    def sha256(self) -> str | None:
        """The digest in hexadecimal, or None when the line has no sha256."""
        algorithm, _, value = self.digest.partition("=")
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex() if algorithm == "sha256" else None


def row_of(path: str, content: bytes) -> Row:
    """Return the line for a file with this content."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return Row(path=path, digest=f"sha256={digest}", size=len(content))


def complete(record: str, sizes: Mapping[str, int], dist_info: str) -> dict[str, Row]:
    """Return the lines by member, as uv mends them: one for each member of `sizes`, the first where there are more."""
    recorded: dict[str, Row] = {}
    for row in _parse(record):
        recorded.setdefault(normpath(row.path), row)
    unrecorded = {f"{dist_info}/RECORD.jws", f"{dist_info}/RECORD.p7s"}
    return {
        member: recorded.get(member) or Row(path=member, digest="", size=size)
        for member, size in sizes.items()
        if member in recorded or member not in unrecorded
    }


def render(rows: Iterable[Row]) -> bytes:
    """Return the text of a RECORD as uv writes it: sorted by the bytes of path, digest and size."""
    ordered = sorted(rows, key=lambda row: (row.path.encode(), row.digest, -1 if row.size is None else row.size))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((row.path, row.digest, "" if row.size is None else row.size) for row in ordered)
    return text.getvalue().encode()


def _parse(text: str) -> Iterator[Row]:
    for path, digest, size in csv.reader(io.StringIO(text, newline="")):
        yield Row(path=path.lstrip("/"), digest=digest, size=int(size) if size else None)
