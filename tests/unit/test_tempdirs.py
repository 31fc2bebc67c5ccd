"""envgen.core.tempdirs: a folder for the time being goes with its context, or with the next one when its process was killed."""

import errno
import os
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from envgen.core.tempdirs import disk_full, is_full, remove_stale, temp_dir


def test_a_folder_is_there_as_long_as_its_context(tmp_path: Path) -> None:
    with temp_dir("job", tmp_path) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_bytes(b"")
        assert folder.is_relative_to(tmp_path)
        assert folder.name.startswith("envgen-job-")
        assert folder.stat().st_mode & 0o77 == 0
    assert list(tmp_path.iterdir()) == []


def test_an_error_takes_it_along(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temp_dir("job", tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_two_are_two(tmp_path: Path) -> None:
    with temp_dir("job", tmp_path) as one, temp_dir("job", tmp_path) as two:
        assert one != two
        assert one.is_dir()


def abandoned(place: Path) -> Path:
    """A folder as a process leaves it that is killed."""
    folder = place / "envgen-view-0a1b2c3d"
    folder.mkdir(parents=True)
    (folder / "large").write_bytes(b"x")
    folder.with_suffix(".alive").touch()
    return folder


def test_the_next_one_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    with temp_dir("job", tmp_path):
        assert not left.exists()
        assert not left.with_suffix(".alive").exists()


def test_a_process_that_was_killed_before_it_made_the_folder_leaves_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "envgen-view-0a1b2c3d.alive").touch()
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    with FileLock(left.with_suffix(".alive")):
        remove_stale(tmp_path)
        assert (left / "large").exists()
    remove_stale(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("name", ["envgen-project", "other"])
def test_what_is_not_ours_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "files").touch()
    remove_stale(tmp_path)
    assert (tmp_path / name / "files").exists()


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    elsewhere = abandoned(tmp_path / "elsewhere")
    (tmp_path / "envgen-view-link").symlink_to(elsewhere)
    (tmp_path / "envgen-view-link.alive").touch()
    (tmp_path / "envgen-view-lock.alive").symlink_to(elsewhere / "large")
    remove_stale(tmp_path)
    assert (elsewhere / "large").exists()


def test_where_there_is_nothing_nothing_is_swept(tmp_path: Path) -> None:
    remove_stale(tmp_path / "not there")


def test_making_and_sweeping_at_the_same_time(tmp_path: Path) -> None:
    """Nobody's folder goes while it is in use, however often others sweep."""
    lost: list[Path] = []

    def use() -> None:
        for _ in range(30):
            with temp_dir("job", tmp_path) as folder:
                (folder / "a").write_bytes(b"")
                if not (folder / "a").exists():
                    lost.append(folder)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_said() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")
    assert is_full(error)
    assert str(disk_full(error)) == "/tmp/x: no space left on the disk; partial files were removed"
    assert disk_full(error).exit_code == 6
    assert str(disk_full(OSError(errno.ENOSPC, "no room"))).startswith("disk: ")
    assert not is_full(PermissionError(errno.EACCES, "no"))
