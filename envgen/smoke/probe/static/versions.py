"""Normalises names and versions of distributions, without the `packaging` library, which is itself examined."""

from __future__ import annotations

import re
from pathlib import Path

import harness

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre>\d*))?"
    r"(?P<after>-(?P<implicit>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post>\d*))?"
    r"(?P<developed>[-_.]?dev[-_.]?(?P<dev>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
_PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def name(text: str) -> str:
    """Return a distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", text).lower()


def normal(text: str) -> str:
    """Return a version in its normal form; an invalid one unchanged."""
    match = _VERSION.fullmatch(text.strip().lower())
    if match is None:
        return text
    epoch = f"{int(match['epoch'])}!" if int(match["epoch"] or 0) else ""
    release = ".".join(str(int(part)) for part in match["release"].split("."))
    phase = match["phase"]
    pre = f"{_PHASES.get(phase, phase)}{int(match['pre'] or 0)}" if phase else ""
    post = f".post{int(match['implicit'] or match['post'] or 0)}" if match["after"] else ""
    dev = f".dev{int(match['dev'] or 0)}" if match["developed"] else ""
    parts = re.split(r"[-_.]", match["local"]) if match["local"] else []
    local = ".".join(str(int(part)) if part.isdigit() else part for part in parts)
    return f"{epoch}{release}{pre}{post}{dev}" + (f"+{local}" if local else "")


def of_dist_info(folder: Path) -> tuple[str, str]:
    """Return normalised name and version from the METADATA in a .dist-info folder."""
    try:
        text = (folder / "METADATA").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise harness.Failed(f"{folder}: no readable METADATA ({error.strerror})") from error
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            break
        found.setdefault(key.lower(), value.strip())
    return name(found.get("name", "")), normal(found.get("version", ""))
