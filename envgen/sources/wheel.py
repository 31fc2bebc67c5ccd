"""A wheel: one file on a package index, that a lock can pin."""

import datetime as dt
import re
from dataclasses import dataclass

WHEEL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
"""A wheel's file name as we accept it from an index or a lock: it becomes a path and stands in a Dockerfile."""

NOT_PUBLISHED = "not published"
"""Stands for the upload time of a file whose index publishes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel: its file name, sha256 (hex), size in bytes, index by name, and when it was uploaded (UTC)."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    index: str
    uploaded: dt.datetime | None
