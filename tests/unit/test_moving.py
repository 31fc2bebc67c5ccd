"""envgen.profiles.edit and envgen.cli.locks.update: a profile is moved whole or not at all, and to no day that has not begun."""

import datetime as dt
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import PROFILE

from envgen.cli.locks import update
from envgen.cli.output import QuietReporter
from envgen.core.errors import DiskFullError, ResolutionError, UsageError
from envgen.core.settings import read_settings
from envgen.profiles import Project
from envgen.profiles import model as profile_model
from envgen.profiles.edit import move_date, parse_day
from envgen.workspace import Workspace

NOW = dt.datetime(2026, 10, 15, 23, 59, 59, tzinfo=dt.UTC)
OPEN = Path.open


class FullDisk:
    """A new file on a disk that takes half of what is written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        self._stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(path: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
    stream = OPEN(path, mode, *words, **options)
    return FullDisk(stream) if "x" in mode else stream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(PROFILE, encoding="utf-8")
    return file


@pytest.fixture
def _one_second_before_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=lambda tz: NOW.astimezone(tz))
    monkeypatch.setattr(profile_model, "dt", SimpleNamespace(date=dt.date, datetime=clock, UTC=dt.UTC))


@pytest.mark.usefixtures("_one_second_before_midnight")
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_day_is_known_once_it_has_begun_in_utc(in_zone, zone: str) -> None:  # type: ignore[no-untyped-def]
    in_zone(zone)
    assert parse_day("2026-10-15") == dt.date(2026, 10, 15)
    for later in ("2026-10-16", "2026-10-17", "2999-01-01"):
        with pytest.raises(UsageError, match=f"^--as-of: found {later}, which has not begun in UTC") as caught:
            parse_day(later)
        assert caught.value.hint == "use 2026-10-15 or earlier"


def test_a_profile_is_replaced_and_never_written_into(path: Path) -> None:
    """Whoever reads it meanwhile has the old one or the new one: what was open, or has another name, is as it was."""
    os.link(path, path.with_name("kept"))
    move_date(path, dt.date(2026, 10, 1), "")
    assert path.read_text() == PROFILE.replace("2026-09-22", "2026-10-01")
    assert path.with_name("kept").read_text() == PROFILE


def test_a_disk_that_is_full_leaves_the_profile_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", half_written)
    with pytest.raises(DiskFullError, match="the disk is full; nothing was changed"):
        move_date(path, dt.date(2026, 10, 1), "")
    assert {file.name: file.read_text() for file in path.parent.iterdir()} == {path.name: PROFILE}, "whole, and nothing beside it"


@pytest.fixture
def workspace(path: Path) -> Workspace:
    project = path.parent / "project"
    (project / "profiles").mkdir(parents=True)
    path.rename(project / "profiles" / "small.toml")
    return Workspace(project=Project(folder=project), settings=read_settings({}, project), reporter=QuietReporter())


@pytest.mark.parametrize("full", [False, True], ids=["room", "full disk"])
def test_a_move_that_can_not_be_locked_is_put_back_and_on_a_full_disk_the_profile_is_whole(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    profile = workspace.project.folder / "profiles" / "small.toml"
    moved = PROFILE.replace("2026-09-22", "2026-10-01")

    def no_lock(*_words: object) -> None:
        assert profile.read_text() == moved
        if full:
            monkeypatch.setattr(Path, "open", half_written)
        raise ResolutionError("py311-linux-amd64", "nothing fits")

    monkeypatch.setattr(update.project, "write_locks", no_lock)
    args = update.UpdateArgs(profile="small", as_of="2026-10-01", package=None, base=False, no_lock=False)
    with pytest.raises(DiskFullError if full else ResolutionError):
        update.run(args, workspace)
    assert {file.name: file.read_text() for file in profile.parent.iterdir()} == {profile.name: moved if full else PROFILE}
