"""Wheels: files on a package index that a lock can pin."""

import datetime as dt
import re
from dataclasses import dataclass

WHEEL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
"""A valid wheel file name from an index or a lock, as it becomes a path and part of a Dockerfile."""

NOT_PUBLISHED = "not published"
"""Used for the upload time of a file if its index publishes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel: its file name, sha256 (hex), size in bytes, index name, and upload time (UTC)."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    index: str
    uploaded: dt.datetime | None
