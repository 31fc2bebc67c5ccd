"""envgen.engine.docker.run: what a container writes, in chunks that end anywhere and without end."""

import itertools
import random

import pytest

from envgen.engine.docker import run
from envgen.engine.docker.run import _end_of, _lines

TEXT = b"first\n\nsecond \xff\nlast\n"


def test_lines_are_whole_wherever_chunks_end() -> None:
    expected = TEXT.decode(errors="replace").split("\n")[:-1]
    chance = random.Random(3)
    for _ in range(100):
        places = sorted(chance.randrange(len(TEXT)) for _ in range(4))
        chunks = [TEXT[start:end] for start, end in itertools.pairwise((0, *places, len(TEXT)))]
        assert list(_lines(iter(chunks))) == expected
    assert list(_lines(iter([TEXT, b"no end"]))) == [*expected, "no end"]


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LONGEST_LINE", 10)
    assert list(_lines(iter([b"0123456", b"789abc", b"def\nnext", b" one\n", b"x" * 30]))) == ["0123456789", "next one", "x" * 10]


def test_a_line_without_end_takes_time_in_proportion() -> None:
    """In chunks of an engine, 100 MB: each was copied again with all before it."""
    chunk = b"x" * 16_384
    (line,) = _lines(itertools.repeat(chunk, 6400))
    assert len(line) == run.LONGEST_LINE


def test_the_end_of_what_was_written_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEPT", 5)
    assert _end_of([b"abc", b"", b"defgh", b"i"]) == "efghi"
    assert _end_of([]) == ""
