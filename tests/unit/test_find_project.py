"""envgen.cli.find_project, and what commands do where there is no project."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import PROFILE

from envgen.cli import main
from envgen.cli.find_project import find_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a folder below it that is no project."""
    monkeypatch.setenv("ENVGEN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "team"
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    (folder / "src" / "deep").mkdir(parents=True)
    return folder


def test_the_nearest_project_upwards_is_found(project: Path) -> None:
    assert find_project(project, None) == project
    assert find_project(project / "src" / "deep", None) == project
    assert find_project(project / "profiles", None) == project
    for marker in ("src/envgen.toml", "src/locks/cpu-base/py311-linux-amd64/envgen.lock"):
        path = project / marker
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find_project(project / "src" / "deep", None) == project / "src", marker
        path.unlink()


def test_the_search_ends_at_a_repository_at_home_and_below_what_all_may_write(project: Path) -> None:
    deep = project / "src" / "deep"
    assert find_project(deep, project / "src") is None
    assert find_project(deep, project) == project
    (project / "src" / ".git").write_text("gitdir: elsewhere\n")
    assert find_project(deep, None) is None
    (project / "src" / ".git").unlink()
    project.chmod(0o777)
    assert find_project(deep, None) is None
    assert find_project(project, None) == project


def test_a_command_in_a_subfolder_checks_the_project_and_says_which(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project / "src")
    assert main(["lock", "--check"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert f"project: {project}\n" in err
    assert "locks/small/py311-linux-amd64/envgen.lock: there is no lock" in err
    assert main(["show", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["profile"] == "small"
    monkeypatch.chdir(project)
    assert main(["lock", "--check"]) == 4
    assert "project: " not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["lock"], ["lock", "--check"], ["fetch"], ["verify"], ["store", "export", "x.tar"], ["matrix", "--format", "github"]]
)
def test_where_there_is_no_project_nothing_of_envgens_own_is_used_in_its_place(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error: {tmp_path}: no project here: no profiles/*.toml in this folder or above it\n" in err
    assert "envgen --project DIR" in err


def test_a_name_that_is_unknown_where_there_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["why", "my-team", "numpy"]) == 2
    assert f"no project here: no profiles/*.toml in {tmp_path} or above it" in capsys.readouterr().err
    assert main(["lock", "--check", "cpu-base"]) == 0
    assert main(["matrix"]) == 0
    assert "cpu-base" in capsys.readouterr().out


def test_a_folder_with_locks_alone_has_the_profiles_that_these_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "locks" / "cuda" / "py311-linux-amd64").mkdir(parents=True)
    (tmp_path / "locks" / "cuda" / "py311-linux-amd64" / "envgen.lock").write_text("not a lock")
    monkeypatch.chdir(tmp_path)
    assert main(["lock", "--check"]) == 4
    assert "cpu-base" not in capsys.readouterr().err
