"""envgen diff in a real git repository and with real images: what moved, why, and what a push sends."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from built import docker, inspect
from command import Done
from loopback import Proxy
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, locked_base, write_profile

LATER = "2026-10-15"
MOVED = f"{BETA} 1.0 -> 2.0 (upgraded)"
WHY = "uploaded 2026-10-01, after the old as_of 2026-09-22"
IDENTITY = {f"GIT_{who}_{what}": "tests@envgen.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    """Run git to a good end, whatever this machine's own configuration says; its output."""
    env = os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True, kw_only=True)
class History:
    """A project in a repository with two commits: `first` has beta 1.0, `second`, tagged `moved`, the one that was uploaded later."""

    site: Site
    first: str
    second: str

    def diff(self, *arguments: str, **env: str) -> Done:
        return self.site.envgen("diff", *arguments, **env)


@pytest.fixture(scope="module")
def moved(locked_site: Site, tiny_index: Proxy, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The history that tests change copies of."""
    site = locked_site.copy(tmp_path_factory.mktemp("history"))
    git(site.project, "init", "--quiet", "--initial-branch", "main")
    first = commit(site.project, "Lock")
    site.envgen("update", "tiny", "--as-of", LATER).must_pass()
    second = commit(site.project, "Move the date")
    git(site.project, "tag", "--annotate", "--message", "Moved", "moved")
    return History(site=site, first=first, second=second)


@pytest.fixture
def history(moved: History, index: Proxy, tmp_path: Path) -> History:
    """A history of the test's own."""
    return replace(moved, site=moved.site.copy(tmp_path))


@pytest.mark.parametrize("words", [("HEAD~1",), ("HEAD~1", "HEAD"), ("main~1", "moved"), ("git:HEAD~1", "locks"), ("HEAD~1", "locks/tiny")])
def test_two_revisions_or_one_and_what_is_there(history: History, words: tuple[str, ...]) -> None:
    text = history.diff(*words).must_pass().stdout
    assert text.startswith("1 of 1 locks differ; packages: 1 upgraded\n")
    assert f"before: git revision {words[0].removeprefix('git:')} ({history.first[:12]})" in text
    for line in ("as_of: 2026-09-22 -> 2026-10-15", MOVED, WHY):
        assert f"  {line}\n" in text
    assert ALPHA not in text


def test_a_revision_may_be_a_commit_by_any_name(history: History) -> None:
    for name in (history.first, history.first[:9], "moved^", ":/Lock", "HEAD@{1}"):
        assert MOVED in history.diff(name).must_pass().stdout, name


def test_the_other_way_round_it_is_a_downgrade(history: History) -> None:
    text = history.diff("moved", "HEAD~1").must_pass().stdout
    assert f"{BETA} 2.0 -> 1.0 (downgraded)" in text
    assert "2.0 was uploaded 2026-10-01, after the new as_of 2026-09-22" in text


def test_without_words_what_is_not_committed_is_told(history: History) -> None:
    done = history.diff("--exit-code").must_pass()
    assert done.stdout == "no differences: 1 lock is the same\n"
    profile = history.site.project / "profiles" / "tiny.toml"
    profile.write_text(profile.read_text().replace(f'    "{GAMMA}",\n', ""))
    history.site.envgen("lock", "tiny").must_pass()
    done = history.diff("--exit-code")
    assert (done.code, done.stderr) == (8, "")
    assert f"{GAMMA} 1.0 (removed)\n      the profile no longer requires it\n" in done.stdout
    # The layer group is the same but for that wheel, and no image is built of it.
    assert "no image is built from the changed locks" in done.stdout


def test_files_and_folders_outside_of_any_repository(history: History, tmp_path: Path) -> None:
    lock = "locks/tiny/py311-linux-amd64/envgen.lock"
    old = tmp_path / "old"
    old.mkdir()
    (old / "envgen.lock").write_bytes(subprocess.check_output(["git", "show", f"HEAD~1:{lock}"], cwd=history.site.project))
    for before, after in ((str(old), lock), (str(old / "envgen.lock"), "locks"), (str(old), "")):
        done = history.diff(*filter(None, (before, after)), PATH=str(Path(os.environ["PATH"].split(":")[0])))
        assert MOVED in done.must_pass().stdout


def test_the_work_tree_and_the_index_stay_as_they_are(history: History) -> None:
    project = history.site.project
    (project / "staged").write_text("staged")
    git(project, "add", "staged")
    (project / "profiles" / "tiny.toml").open("a").write("# not committed\n")
    status = git(project, "status", "--porcelain")
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    history.diff("HEAD~1").must_pass()
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    assert git(project, "status", "--porcelain") == status


def test_a_project_in_a_folder_of_its_repository(history: History, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    history.site.project.rename(outer / "project")
    subprocess.run(["rm", "-r", outer / "project" / ".git"], check=True)
    commit(outer, "Whole")
    site = Site(project=outer / "project", env=history.site.env)
    assert site.envgen("diff", "HEAD").must_pass().stdout.startswith("no differences: 1 lock")


def test_json_and_markdown(history: History) -> None:
    found = json.loads(history.diff("HEAD~1", "--format", "json").must_pass().stdout)
    (change,) = found["packages"]
    assert change["change"] == {"kind": "upgraded", "name": BETA, "before": "1.0", "after": "2.0"}
    assert [reason["text"] for reason in change["reasons"]] == [WHY]
    comment = history.diff("HEAD~1", "--format", "markdown").must_pass().stdout
    assert comment.startswith("### envgen: 1 of 1 locks differ; packages: 1 upgraded\n")
    assert f"| {BETA} | upgraded | 1.0 -> 2.0 | {WHY} |\n" in comment


def test_no_revision_is_an_option(history: History, tmp_path: Path) -> None:
    target = tmp_path / "written"
    for words in ((f"git:--output={target}",), ("--", f"-O{target}"), ("git:--all",)):
        history.diff(*words).must_fail(2, "can't start with '-'")
    for word in ("^HEAD", "HEAD;touch x", "$(touch x)", "HEAD\ntouch x", "HEAD --output=x", "HEAD:locks"):
        history.diff(word).must_fail(2, "no such")
    assert not target.exists()
    assert not (history.site.project / "x").exists()


def test_what_is_no_revision_is_said_with_a_cure(history: History) -> None:
    history.diff("HEAD~9").must_fail(2, "no such git revision")
    history.diff("git:maim").must_fail(2, "no such git revision", "did you mean 'main'?")
    history.diff("HEAD~1..HEAD").must_fail(2, "a range", "envgen diff HEAD~1 HEAD")
    history.diff("HEAD~1...").must_fail(2, "envgen diff HEAD~1 HEAD")
    history.diff("--profile", "nope").must_fail(2, "--profile nope", "neither side")


def test_a_revision_without_locks_and_one_with_wrong_ones(history: History) -> None:
    project = history.site.project
    git(project, "rm", "-r", "--quiet", "--cached", "locks")
    git(project, "commit", "--quiet", "--message", "Without locks")
    history.diff("HEAD").must_fail(2, "has no locks below locks/")
    lock = project / "locks" / "tiny" / "py311-linux-amd64" / "envgen.lock"
    before = lock.read_bytes()
    lock.write_bytes(before.replace(b"version = 1\n", b"version = 7\n", 1))
    commit(project, "From the future")
    lock.write_bytes(before)
    history.diff("HEAD").must_fail(4, "HEAD:locks/tiny/py311-linux-amd64/envgen.lock", "another envgen wrote this lock")
    # Line ends that git or an editor changed are no lock that envgen wrote either: what is read is what was committed.
    lock.write_bytes(before.replace(b"\n", b"\r\n"))
    commit(project, "Other line ends")
    lock.write_bytes(before)
    history.diff("HEAD").must_fail(4, "edited by hand")


def test_a_shallow_clone_says_how_to_get_the_rest(history: History, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{history.site.project}", "shallow")
    site = Site(project=tmp_path / "shallow", env=history.site.env)
    site.envgen("diff", "HEAD").must_pass()
    site.envgen("diff", "HEAD~1").must_fail(2, "shallow clone", "git fetch --unshallow", "fetch-depth: 0")


def test_no_repository_no_commit_and_no_git(locked: Site, tmp_path: Path) -> None:
    locked.envgen("diff").must_fail(2, "not in a git repository", "compare two folders")
    locked.envgen("diff", PATH=str(tmp_path)).must_fail(2, "git: not found on PATH", "install git")
    git(locked.project, "init", "--quiet")
    locked.envgen("diff").must_fail(2, "no commits yet")


@pytest.fixture(scope="module")
def built_images(image_site: Site, tiny_index: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, str]]:
    """A project whose first lock was moved to `kept`, and the images of its locks before and after beta moved."""
    site = image_site.copy(tmp_path_factory.mktemp("images"))
    # A profile of its own: whoever else builds the tiny image may remove it, while this one is the same image.
    write_profile(site.project, "moving", base=locked_base()[0], own_index=True)
    site.envgen("lock", "moving").must_pass()
    names = tuple(f"envgen-tests/diff-{which}:{os.getpid()}" for which in ("before", "after"))
    build = ("build", "moving", "--no-smoke", *base_arguments(), "--tag")
    try:
        site.envgen(*build, names[0]).must_pass()
        (site.project / "locks" / "moving").rename(site.project / "kept")
        site.envgen("update", "moving", "--as-of", LATER).must_pass()
        site.envgen(*build, names[1]).must_pass()
        yield site, names[0], names[1]
    finally:
        subprocess.run(["docker", "image", "rm", "--force", *names], capture_output=True, check=False)


@pytest.fixture
def two_images(built_images: tuple[Site, str, str], index: Proxy, tmp_path: Path) -> tuple[Site, str, str]:
    """The images, with a project of the test's own."""
    site, *names = built_images
    return site.copy(tmp_path), names[0], names[1]


def test_two_images_and_their_archives(two_images: tuple[Site, str, str], tmp_path: Path) -> None:
    site, before, after = two_images
    text = site.envgen("diff", before, after).must_pass().stdout
    words = " ".join(text.split())
    assert text.startswith("the images differ; packages: 1 upgraded; ")
    for line in (MOVED, "envgen.as-of: 2026-09-22T00:00:00Z -> 2026-10-15T00:00:00Z"):
        assert f"  {line}\n" in text
    assert "that of moving py311-linux-amd64 here" in words
    assert "not among the locks here" in words
    archives = [tmp_path / "before.tar", tmp_path / "after.tar"]
    for path, name in zip(archives, (before, after), strict=True):
        docker("image", "save", "--output", path, name)
    from_store, from_files = (as_json(site, *names) for names in ((before, after), archives))
    assert from_store == from_files
    changed = [layer for layer in from_store["layers"] if layer["side"] != "both"]
    holds = f"{ALPHA}, {BETA} and 1 more"
    assert [(layer["side"], layer["group"], layer["holds"]) for layer in changed] == [("before", "", holds), ("after", "libraries", holds)]
    assert from_store["push"] == changed[1]["size"]
    # The sizes are those of the blobs that are in the archive.
    with tarfile.open(archives[1]) as archive:
        assert archive.getmember(f"blobs/{changed[1]['digest'].replace(':', '/')}").size == changed[1]["size"]


def test_one_image_by_its_names_and_what_it_can_not_be_compared_with(two_images: tuple[Site, str, str], tmp_path: Path) -> None:
    site, before, after = two_images
    docker("image", "save", "--output", tmp_path / "before.tar", before)
    digest = inspect(before)["Id"]
    for name in (digest, f"image:{before}", str(tmp_path / "before.tar")):
        assert site.envgen("diff", before, name, "--exit-code").must_pass().stdout.startswith("no differences: the same image")
    assert site.envgen("diff", before, after, "--exit-code").code == 8
    site.envgen("diff", before, "locks").must_fail(2, "expected two images", "envgen audit")
    site.envgen("diff", before).must_fail(2, "no other image to compare it with")
    site.envgen("diff", "image:No//Name", before).must_fail(2, "No//Name")
    site.envgen("diff", "nope", before).must_fail(2, "as an image: no such image")


def test_with_both_locks_at_hand_there_are_reasons(two_images: tuple[Site, str, str]) -> None:
    site, before, after = two_images
    (site.project / "kept").rename(site.project / "locks" / "before")
    assert f"{MOVED}\n      {WHY}\n" in site.envgen("diff", before, after).must_pass().stdout


def as_json(site: Site, *names: str | Path) -> dict[str, Any]:
    """What `envgen diff` says of two images, without what they are called."""
    found: dict[str, Any] = json.loads(site.envgen("diff", *map(str, names), "--format", "json").must_pass().stdout)
    for side in ("before", "after"):
        del found[side]["label"]
    return found
