"""Requirements with markers and of several files, locked: each target has what counts there, with both resolvers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import tiny
from tiny import ALPHA, BETA, GAMMA, Site

LINUX, MACOS, WINDOWS = "py311-linux-amd64", "py311-macos-arm64", "py311-windows-amd64"


@pytest.fixture
def site(locked: Site) -> Site:
    """A parent that pins beta, on three platforms."""
    path = tiny.write_profile(locked.project, "base", requirements=(ALPHA, f"{BETA}==1.0"))
    text = path.read_text().replace('["linux/amd64"]', '["linux/amd64", "macos/arm64", "windows/amd64"]')
    path.write_text(text.replace(tiny.AS_OF, "2026-10-15"))
    return locked


def child(site: Site, requirements: Iterable[str]) -> Path:
    path = site.project / "profiles" / "mine.toml"
    path.write_text(f'extends = "base"\ndescription = "Mine"\nrequirements = [{", ".join(map(repr, requirements))}]\n')
    return path


def versions(site: Site, target: str, profile: str = "mine") -> dict[str, str]:
    lock = tomllib.loads((site.project / "locks" / profile / target / "envgen.lock").read_text())
    return {package["name"]: package["version"] for package in lock["package"]}


def test_a_marker_leaves_the_parent_s_entry_where_it_does_not_hold(site: Site) -> None:
    child(site, [f'{BETA}==2.0; sys_platform == "win32"', f'{ALPHA}>=1; sys_platform == "darwin"', f'{GAMMA}; sys_platform != "linux"'])
    done = site.envgen("lock", "mine").must_pass()
    assert f'mine: {BETA}==2.0; sys_platform == "win32" replaces {BETA}==1.0 of profiles/base.toml ({WINDOWS})\n' in done.stderr
    assert versions(site, LINUX) == {ALPHA: "1.0", BETA: "1.0"}
    assert versions(site, MACOS) == {ALPHA: "1.0", BETA: "1.0", GAMMA: "1.0"}
    assert versions(site, WINDOWS) == {ALPHA: "1.0", BETA: "2.0", GAMMA: "1.0"}
    site.envgen("lock", "--check", "mine").must_pass()
    before = site.locks()
    site.envgen("lock", "mine", "--resolver", "pip-tools", "--target", LINUX).must_pass()
    assert site.locks() == before


def test_several_entries_for_one_package_are_locked_right_on_each_target(site: Site) -> None:
    child(site, [f'{BETA}==2.0; sys_platform == "linux"', f'{BETA}==1.0; sys_platform == "darwin"'])
    site.envgen("lock", "mine").must_pass()
    assert [versions(site, target)[BETA] for target in (LINUX, MACOS, WINDOWS)] == ["2.0", "1.0", "1.0"]
    before = site.locks()
    site.envgen("lock", "mine", "--resolver", "pip-tools", "--target", LINUX).must_pass()
    assert site.locks() == before


def test_bounds_that_an_exact_version_below_meets_are_met_by_it_and_that_is_said(site: Site) -> None:
    child(site, [f"{BETA}>=1.0"])
    done = site.envgen("lock", "mine").must_pass()
    assert f"mine: {BETA}>=1.0: profiles/base.toml has {BETA}==1.0, which meets it\n" in done.stderr
    assert versions(site, LINUX)[BETA] == "1.0"
    found = json.loads(site.envgen("why", "mine", BETA, "--json").must_pass().stdout)["demands"]
    assert [(demand["requirement"], demand["file"]) for demand in found] == [
        (">=1", None),  # alpha's
        ("==1.0", "profiles/base.toml"),
        (">=1.0", "profiles/mine.toml"),
    ]
    assert "  mine                 ==1.0 (profiles/base.toml)\n" in site.envgen("why", "mine", BETA).must_pass().stdout


def test_bounds_that_it_does_not_meet_are_refused(site: Site) -> None:
    child(site, [f"{BETA}>=2"])
    words = (f"profiles/mine.toml: requirements: found '{BETA}>=2', which {BETA}==1.0 of profiles/base.toml does not meet", f'"{BETA}==2"')
    site.envgen("lock", "mine").must_fail(2, *words)
    child(site, [f"{BETA}==2"])
    site.envgen("lock", "mine").must_pass()
    assert versions(site, LINUX)[BETA] == "2.0"


def test_a_package_s_date_that_has_not_begun_is_refused(site: Site) -> None:
    path = child(site, [GAMMA])
    path.write_text(path.read_text() + f"\n[package.{GAMMA}]\nas_of = 2999-01-01\n")
    site.envgen("lock", "mine").must_fail(2, f"profiles/mine.toml: package.{GAMMA}.as_of: found 2999-01-01", "has not begun in UTC")
    assert not (site.project / "locks" / "mine").exists()


def test_a_project_begun_from_a_range_locks(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch>=2.3\naccelerate\n")
    done = tiny.envgen("init", "team", "--extends", "cuda", "--from", "requirements.txt", cwd=tmp_path, env={}).must_pass()
    assert 'left out      torch>=2.3: cuda has torch==2.13.0, which meets it (write "torch==…" for another one)\n' in done.stdout
    assert "left out      accelerate: cuda has it\n" in done.stdout
    tiny.envgen("show", "team", cwd=tmp_path / "team", env={}).must_pass()

    (tmp_path / "requirements.txt").write_text("torch>=2.14\n")
    words = ("--from requirements.txt", "'torch>=2.14'", "torch==2.13.0 of profiles/cpu-base.toml does not meet", '"torch==2.14"')
    tiny.envgen("init", "other", "--extends", "cuda", "--from", "requirements.txt", cwd=tmp_path, env={}).must_fail(2, *words)
    assert not (tmp_path / "other").exists()
