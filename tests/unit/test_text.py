"""envgen.core.text: what is shown can do nothing to a terminal, and numbers read well."""

import pytest

from envgen.core.text import first_few, human_size, one_line, pluralize, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é and 中", "plain, é and 中"),
        ("a\x1b[2Jb\r\n\tc", "a\\x1b[2Jb\\r\\n\\tc"),
        ("right\u202eleft\udcff", "right\\u202eleft\\udcff"),
        ("C:\\x", "C:\\x"),
    ],
)
def test_a_terminal_obeys_nothing_of_it(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_lines_stay_lines() -> None:
    assert printable_lines("a\tb\n\x1bc\n") == ["a       b", "\\x1bc", ""]


def test_another_character_may_stand_in() -> None:
    assert printable("a\x1b\nb", " ") == "a  b"
    assert one_line(" a\x1b \n b\tc ") == "a b c"


@pytest.mark.parametrize(
    ("count", "least", "words"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (1000, "B", "1 kB"),
        (328_400_000, "B", "328 MB"),
        (1_350_000_000, "B", "1.4 GB"),
        (512_000, "MB", "1 MB"),
        (0, "MB", "0 MB"),
        (2_000_000_000, "MB", "2.0 GB"),
        (250_000_000, "GB", "0.2 GB"),
    ],
)
def test_sizes_as_people_read_them(count: int, least: str, words: str) -> None:
    assert human_size(count, least) == words


def test_numbers_with_their_nouns() -> None:
    assert [pluralize(number, "lock") for number in (0, 1, 2)] == ["0 locks", "1 lock", "2 locks"]
    assert [pluralize(number, "lock is", "locks are") for number in (1, 2)] == ["1 lock is", "2 locks are"]


def test_a_long_list_is_cut() -> None:
    assert first_few("abc", 3) == "a, b, c"
    assert first_few("abcde", 3) == "a, b, c, and 2 more"
