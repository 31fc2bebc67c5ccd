"""envgen.trust.reproduce.environments: a build's surroundings are really other ones, and are gone afterwards."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from envgen.core.settings import read_settings
from envgen.trust.reproduce.environments import FIRST, SECOND, BuildVariation, inside


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def state() -> tuple[str | None, int, int, str]:
    return os.environ.get("TZ"), time.timezone, umask(), tempfile.gettempdir()


def test_no_two_things_are_the_same_in_both() -> None:
    for name in ("name", "umask", "time_zone", "hostname", "no_proxy"):
        assert getattr(FIRST, name) != getattr(SECOND, name)


def test_they_hold_inside_and_are_taken_back(in_zone: Callable[[str], None], tmp_path: Path) -> None:
    in_zone("Asia/Tokyo")
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path), "PATH": "/bin"}, tmp_path)
    before = state()
    seen = []
    for around in (FIRST, SECOND):
        with inside(around, settings) as given:
            seen.append(state())
            environment = given.environment()
        assert environment["PATH"] == "/bin"
        assert (environment["TZ"], environment["TMPDIR"]) == (seen[-1][0], seen[-1][3])
        assert not Path(environment["TMPDIR"]).exists()
        assert state() == before
    hours = 3600
    assert [values[:3] for values in seen] == [("UTC", 0, 0o022), ("Pacific/Kiritimati", -14 * hours, 0o077)]
    assert len({values[3] for values in (before, *seen)}) == 3


def test_they_are_taken_back_after_an_interruption(in_zone: Callable[[str], None], tmp_path: Path) -> None:
    in_zone("Asia/Tokyo")
    before = state()
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path)}, tmp_path)
    with pytest.raises(KeyboardInterrupt), inside(SECOND, settings):
        raise KeyboardInterrupt
    assert state() == before


def test_without_a_time_zone_there_is_none_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    with inside(SECOND, read_settings({"ENVGEN_CACHE": str(tmp_path)}, tmp_path)):
        assert "TZ" in os.environ
    assert "TZ" not in os.environ


def test_run_steps_see_what_is_in_no_image() -> None:
    around = BuildVariation(name="x", umask=0, time_zone="UTC", hostname="host", no_proxy="no")
    assert around.arguments == {"BUILDKIT_SANDBOX_HOSTNAME": "host", "no_proxy": "no"}


def test_what_a_killed_build_left_is_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "envgen-first-0123456789abcdef").mkdir()
    (tmp_path / "envgen-first-0123456789abcdef.alive").write_bytes(b"")
    with inside(SECOND, read_settings({"ENVGEN_CACHE": str(tmp_path)}, tmp_path)) as given:
        own = Path(given.environment()["TMPDIR"])
        assert sorted(path.name for path in tmp_path.iterdir()) == [own.name, f"{own.name}.alive"]
    assert list(tmp_path.iterdir()) == []
