"""CONTRIBUTING's map: its folders are those that there are, and each row of "I want to change" leads to a file with what it names."""

import re

import pytest
from samples import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = CONTRIBUTING.partition("## Where things are")[2].partition("\n## ")[0]
ROWS = re.findall(r"(?m)^\| ([^|]+) \| `([^`|]+)` \| `([^`|]+)` \|$", MAP)


def test_the_folders_are_those_that_there_are() -> None:
    named = re.findall(r"(?m)^\| `([a-z_]+)(?:/|\.py)` \|", MAP)
    entries = {path.stem for path in (ROOT / "envgen").iterdir() if not path.name.startswith(("_", ".")) and path.name != "py.typed"}
    assert sorted(named) == sorted(entries)


def test_there_are_thirty_rows_or_more() -> None:
    assert len(ROWS) >= 30
    assert len({what for what, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("path", "marker"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_row_leads_to_what_it_names(path: str, marker: str) -> None:
    assert marker in (ROOT / path).read_text(encoding="utf-8")
