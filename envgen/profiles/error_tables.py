"""Diagnoses: the error tables of the documents as data, and which entry an error text matches."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envgen.core.toml import Faults, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One entry: a pattern of the message, its cause, the cure here, and the cure as documented with the difference."""

    pattern: re.Pattern[str]
    cause: str
    cure: str
    documented: str
    why: str
    document: str
    section: str


def read_diagnoses(data: Mapping[str, object], label: str) -> tuple[Diagnosis, ...]:
    """The entries of an error table, the more special ones first. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    found = [_read(inner) for inner in table.array_of_tables("error")]
    table.close()
    faults.raise_any()
    return tuple(found)


def _read(table: Table) -> Diagnosis:
    text = table.require("pattern", str, "")
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as error:
        table.fault("pattern", f"found {text!r}, expected a regular expression: {error}")
        pattern = re.compile("(?!)")
    found = Diagnosis(
        pattern=pattern,
        cause=table.require("cause", str, ""),
        cure=table.require("cure", str, ""),
        documented=table.require("documented", str, ""),
        why=table.require("why", str, ""),
        document=table.require("document", str, ""),
        section=table.require("section", str, ""),
    )
    table.close()
    return found


def diagnose(text: str, diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    """The first entry that matches `text`, or None."""
    return next((entry for entry in diagnoses if entry.pattern.search(text)), None) if text else None
