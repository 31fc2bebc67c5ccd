"""A project or a cache that can't be written: one error with its cure, and nothing is changed. These tests mount: run them as root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny import Site


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder can't be written as long as the context lasts, not even by root."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (("update", "tiny", "--as-of", "2026-09-23"), "profiles/tiny.toml"),
        (("lock", "tiny"), "locks"),
        (("init", ".", "--name", "another"), "profiles/another.toml"),
    ],
    ids=["update", "lock", "init"],
)
def test_a_project_that_can_not_be_written(locked: Site, command: tuple[str, ...], where: str) -> None:
    for path in (locked.project / "locks").rglob("envgen.lock"):
        path.unlink()
    profile = (locked.project / "profiles" / "tiny.toml").read_bytes()
    with read_only(locked.project):
        done = locked.envgen(*command)
    done.must_fail(2, where, "can't be written: Read-only file system")
    assert (locked.project / "profiles" / "tiny.toml").read_bytes() == profile


def test_a_cache_that_may_not_be_written_needs_no_room(locked: Site, tmp_path: Path) -> None:
    cache = tmp_path / "closed"
    cache.mkdir()
    with read_only(cache):
        done = locked.envgen("lock", "tiny", ENVGEN_CACHE=str(cache))
    done.must_fail(6, "can't be written", "hint:  set ENVGEN_CACHE to a folder you may write")
    assert "make room" not in done.stderr
