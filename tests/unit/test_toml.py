"""envgen.core.toml: typed reading with every fault collected and named as a user would write it."""

import datetime as dt
from pathlib import Path

import pytest

from envgen.core.errors import ProfileError, ProfileErrors
from envgen.core.toml import Faults, Table, join_path, load_toml, suggestion


def reading(data: dict[str, object]) -> tuple[Table, Faults]:
    faults = Faults(lambda _path: "a.toml")
    return Table(data, faults), faults


def only(faults: Faults) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        faults.raise_any()
    assert len(caught.value.faults()) == 1
    return caught.value


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (3, str, "found an integer (3), expected a string"),
        ("3", int, "found a string ('3'), expected an integer"),
        (True, int, "found a boolean (true), expected an integer"),
        (1, bool, "found an integer (1), expected a boolean"),
        (2.5, int, "found a number (2.5), expected an integer"),
        ({}, list, "found a table, expected an array"),
        ([], dict, "found an array, expected a table"),
        ("2026-09-22", dt.date, "found a string ('2026-09-22'), expected a date"),
        (dt.datetime(2026, 9, 22), dt.date, "found a date with a time (2026-09-22T00:00:00), expected a date"),
        (dt.date(2026, 9, 22), dt.datetime, "found a date, expected an instant"),
        (dt.time(1, 2), dt.date, "found a time of day, expected a date"),
    ],
)
def test_a_wrong_type_is_said_in_words_of_toml(value: object, kind: type, message: str) -> None:
    table, faults = reading({"key": value})
    assert table.get("key", kind, "default") == "default"
    assert str(only(faults)) == f"a.toml: key: {message}"


@pytest.mark.parametrize(
    ("value", "kind"), [("a", str), (1, int), (False, bool), (dt.date(2026, 1, 1), dt.date), ([1], list), ({"a": 1}, dict)]
)
def test_a_right_type_is_taken(value: object, kind: type) -> None:
    table, faults = reading({"key": value})
    assert table.get("key", kind, None) is value
    table.close()
    faults.raise_any()


def test_a_missing_key_is_a_fault_only_when_required() -> None:
    table, faults = reading({})
    assert table.get("a", str, "x") == "x"
    faults.raise_any()
    assert table.require("a", str, "x") == "x"
    assert str(only(faults)) == "a.toml: a: missing, expected a string"


def test_an_unknown_key_gets_a_suggestion() -> None:
    table, faults = reading({"requirments": []})
    table.strings("requirements")
    table.close()
    error = only(faults)
    assert str(error) == "a.toml: requirments: unknown key"
    assert error.hint == "did you mean 'requirements'?"


def test_a_key_unlike_any_other_gets_the_list() -> None:
    assert suggestion("xyz", ("one", "two")) == "use one of one, two"
    assert suggestion("xyz", ()) == ""


def test_all_faults_come_at_once_and_in_order() -> None:
    table, faults = reading({"a": 1, "b": {"c": 2}, "d": ["x", 3], "e": [4]})
    table.get("a", str, "")
    inner = table.table("b")
    inner.get("c", str, "")
    assert table.strings("d") == ("x",)
    assert list(table.array_of_tables("e")) == []
    with pytest.raises(ProfileErrors) as caught:
        faults.raise_any()
    assert [str(fault).split(": ")[1] for fault in caught.value.faults()] == ["a", "b.c", "d[1]", "e[0]"]


def test_paths_are_quoted_as_toml_wants_it() -> None:
    assert join_path("python", "3.9") == 'python."3.9"'
    assert join_path("", "a-b_c") == "a-b_c"
    assert join_path("index", "pytorch") == "index.pytorch"


def test_each_inner_table_keeps_its_path() -> None:
    table, faults = reading({"index": {"a.b": {"url": 1}}})
    for _name, inner in table.table("index").each():
        inner.get("url", str, "")
    assert str(only(faults)).startswith('a.toml: index."a.b".url: ')


@pytest.mark.parametrize("content", [b"a = ", b"a = 1\na = 2", b"\xff\xfe", b"as_of = 2026-13-45"])
def test_what_is_no_toml_is_said_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=r"^profiles/bad.toml: invalid TOML: "):
        load_toml(path, "profiles/bad.toml")


def test_a_file_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"^there: can't be read: Is a directory$"):
        load_toml(tmp_path, "there")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes('key = "é"'.encode("utf-8-sig"))
    assert load_toml(path, "a.toml") == {"key": "é"}


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes("key = 1".encode("utf-16"))
    with pytest.raises(ProfileError, match=r"a.toml: invalid TOML: found UTF-16, expected UTF-8"):
        load_toml(path, "a.toml")
