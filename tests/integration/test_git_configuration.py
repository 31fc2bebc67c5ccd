"""A repository's own git configuration runs nothing, in a clone and in an unpacked archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import envgen
from hostile_git import ATTACKS, LOCK, MARK, ask_everything, git, hidden_in_a_folder, plain_git, repository

from envgen.core.git import GitRepo
from envgen.core.settings import read_settings


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_of_it_is_run(name: str, tmp_path: Path) -> None:
    folder = repository(tmp_path / "project")
    ATTACKS[name](folder)
    (tmp_path / MARK).unlink(missing_ok=True)
    ask_everything(folder)
    assert not (tmp_path / MARK).exists()
    plain_git(folder)
    assert (tmp_path / MARK).exists(), "git as it is does not run it either: the case is none"


def test_a_repository_that_is_hidden_in_a_folder(tmp_path: Path) -> None:
    folder = hidden_in_a_folder(tmp_path)
    (folder / "profiles").mkdir()
    (folder / "profiles" / "mine.toml").write_text('extends = "cpu-base"\ndescription = "x"\n')
    done = envgen("matrix", "--format", "github", "--changed-since", "HEAD", cwd=folder, env={})
    done.must_fail(2, "cannot use bare repository", "safe.bareRepository")
    assert not (tmp_path / MARK).exists()
    plain_git(folder)
    assert (tmp_path / MARK).exists()


def test_filters_of_the_user_s_own_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Git LFS has one: what is in the repository is what it makes of a file."""
    folder = repository(tmp_path / "project")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[filter "x"]\n\tclean = tr a-z A-Z\n')
    monkeypatch.setenv("HOME", str(home))
    (folder / ".gitattributes").write_text("*.lock filter=x\n")
    (folder / LOCK).write_text("more\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "filtered")
    (folder / LOCK).write_text("More\n")
    found = GitRepo(read_settings({"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}, folder), folder)
    assert found.changed_since("HEAD") == frozenset()
    (folder / LOCK).write_text("other\n")
    assert found.changed_since("HEAD") == {LOCK}


def test_a_clone_that_lacks_a_file_fetches_it(tmp_path: Path) -> None:
    source = repository(tmp_path / "source")
    git(source, "config", "uploadpack.allowFilter", "true")
    git(source, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{source}", "project")
    found = GitRepo(read_settings({"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}, tmp_path), tmp_path / "project")
    (entry,) = found.files(found.commit("HEAD"), "locks")
    assert found.content(entry[1]) == b"a lock\n"
