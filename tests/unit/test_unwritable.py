"""envgen.core.unwritable: a file that can't be written is reported with the cure that fits, and nothing is changed."""

import datetime as dt
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from envgen.cli import main
from envgen.core.errors import DiskFullError, UsageError
from envgen.core.files import replace_files
from envgen.core.unwritable import CACHE_FOLDER, cache_cure, unwritable
from envgen.profiles import edit

PROFILE = b"\xef\xbb\xbfas_of = 2026-09-22   # a date\r\n"


def failing(monkeypatch: pytest.MonkeyPatch, number: int, method: str = "open") -> None:
    """Every file is refused from now on; `open` refuses new ones alone."""
    whole = Path.open

    def refuse(path: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
        if method == "open" and "x" not in mode:
            return whole(path, mode, *words, **options)
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, method, refuse)


@pytest.mark.parametrize(
    ("number", "kind", "problem", "hint"),
    [
        (errno.EROFS, UsageError, "can't be written: Read-only file system; so", "mounted read-only"),
        (errno.EACCES, UsageError, "can't be written: Permission denied; so", "a folder that you may write"),
        (errno.ENOTDIR, UsageError, "can't be written: Not a directory; so", "remove the file that is in the way"),
        (errno.ENOSPC, DiskFullError, "the disk is full; so", "make room"),
    ],
)
def test_each_reason_has_its_cure(number: int, kind: type[Exception], problem: str, hint: str) -> None:
    found = unwritable(OSError(number, os.strerror(number)), "here", "so")
    assert type(found) is kind
    assert (found.where, found.problem) == ("here", problem)
    assert hint in found.hint


def test_a_cache_that_may_not_be_written_needs_no_room() -> None:
    assert cache_cure(OSError(errno.EACCES, "x"), "make room") == CACHE_FOLDER
    assert cache_cure(OSError(errno.ENOSPC, "x"), "make room") == "make room"


def test_a_profile_that_can_not_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(PROFILE)
    with monkeypatch.context() as patch:
        failing(patch, errno.EROFS)
        with pytest.raises(UsageError, match=r"^profiles/p.toml: can't be written: Read-only file system; nothing was changed$"):
            edit.move_date(path, dt.date(2026, 9, 23), "")
        edit.restore(path, PROFILE)  # it is what it was: nothing is to be written
    assert path.read_bytes() == PROFILE
    assert [file.name for file in tmp_path.iterdir()] == ["p.toml"]


def test_a_profile_that_can_not_be_put_back_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b"moved")
    failing(monkeypatch, errno.EACCES)
    with pytest.raises(UsageError, match="Permission denied; the profile is moved, and its locks are not"):
        edit.restore(path, PROFILE)


def test_an_edit_leaves_the_byte_order_mark_and_the_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(PROFILE)
    edit.move_date(path, dt.date(2026, 9, 23), "")
    assert path.read_bytes() == PROFILE.replace(b"22", b"23")


def test_locks_that_can_not_be_read_are_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").write_bytes(b"x")
    failing(monkeypatch, errno.EACCES, "read_bytes")
    with pytest.raises(UsageError, match=r"lock: can't be written: Permission denied; nothing was changed"):
        replace_files(tmp_path, {"lock": b"y"})


def test_a_file_of_the_users_is_no_bug_of_envgen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(_invocation: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/project/profiles")

    monkeypatch.setattr("envgen.cli.app.run", run)
    assert main(["matrix"]) == 2
    assert capsys.readouterr().err == (
        "error: /project/profiles: can't be read or written: Permission denied\n"
        "hint:  use a folder that you may write, or have its owner change its permissions\n"
    )


def test_an_error_about_no_file_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_invocation: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("envgen.cli.app.run", run)
    with pytest.raises(PermissionError):
        main(["matrix"])
