"""Error texts that are made to be slow to read: all that is read of a text, by every pattern of the shipped tables, in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from error_texts import HOSTILE

from envgen.profiles import Diagnosis, Project
from envgen.profiles.error_tables import explain


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Diagnosis, ...]:
    folder: Path = tmp_path_factory.mktemp("empty")
    return Project(folder=folder).diagnoses()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_ends(tables: tuple[Diagnosis, ...], text: str) -> None:
    before = time.process_time()
    assert explain(text, tables) is None
    assert time.process_time() - before < 15, "seconds of this process; 3 on an idle machine"
