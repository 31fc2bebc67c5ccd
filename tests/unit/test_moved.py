"""envgen.cli.locks.moved: what is said of packages that moved, and of one that did not."""

from dataclasses import replace
from pathlib import Path

import pytest
from samples import LINUX, PROFILE, WINDOWS, package, profile_of, sample_lock

from envgen.cli.locks import moved
from envgen.cli.output import QuietReporter
from envgen.core.errors import IndexUnavailableError, UsageError
from envgen.core.settings import read_settings
from envgen.lock import Lock
from envgen.lock import project as pipeline
from envgen.lock.folder import files_of
from envgen.lock.project import WrittenLock
from envgen.lock.why import HeldBack
from envgen.profiles import Project
from envgen.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())


def lock_of(**versions: str) -> Lock:
    return replace(sample_lock(), packages=tuple(package(name, version, "own", ()) for name, version in versions.items()))


def written(before: Lock | None, after: Lock, platform: str = "linux/amd64") -> WrittenLock:
    target = LINUX if platform == "linux/amd64" else WINDOWS
    return WrittenLock(target=target, folder=Path("x"), changed=before != after, before=before, lock=after)


OLD = lock_of(a="1.0", b="2.10", c="1.0", gone="1")
NEW = lock_of(a="1.1", b="2.9", c="1.0", fresh="1", more="1")


def test_each_package_counts_once_in_all_locks() -> None:
    both = [written(OLD, NEW), written(OLD, NEW, "windows/amd64")]
    assert moved.changes(both) == {"upgraded": 1, "downgraded": 1, "added": 2, "removed": 1}
    assert moved.changes([written(OLD, OLD), written(None, NEW)]) == {}


def test_the_sum_is_one_line_and_outside_git_names_no_diff(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envgen.cli.locks.moved._in_git", lambda _workspace: False)
    assert moved.summary(workspace, profile_of(), [written(OLD, NEW)]) == "small: 1 upgraded, 1 downgraded, 2 added, 1 removed"
    assert moved.summary(workspace, profile_of(), [written(OLD, OLD)]) == ""
    monkeypatch.setattr("envgen.cli.locks.moved._in_git", lambda _workspace: True)
    assert moved.summary(workspace, profile_of(), [written(OLD, lock_of(a="1.0", b="2.10", c="2.0", gone="1"))]) == (
        "small: 1 upgraded: envgen diff HEAD"
    )


def test_a_package_that_stays_is_said_with_what_holds_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    late = HeldBack(first="3", last="4", reason="uploaded after the profile's as_of, 2026-09-22")
    bound = HeldBack(first="1.1", last="2", reason="the documented bound on c is <1.1 (paper.txt, One)")

    def said(*held: HeldBack, locks: tuple[WrittenLock, ...] = (written(OLD, NEW),)) -> list[str]:
        monkeypatch.setattr(pipeline, "why", lambda *_: held)
        return list(moved.staying(workspace, profile_of(), locks, "c"))

    why = "(envgen why small c)"
    assert said(bound, late) == [f"c stays 1.0: 2: the documented bound on c is <1.1 (paper.txt, One) {why}"]
    assert said(late) == said() == [f"c stays 1.0: no newer release was there on 2026-09-22 {why}"]
    elsewhere = written(OLD, lock_of(c="1.1"), "windows/amd64")
    assert said(locks=(written(OLD, NEW), elsewhere)) == [
        f"c stays 1.0 on py311-linux-amd64: no newer release was there on 2026-09-22 {why}"
    ]
    assert said(locks=(elsewhere, written(None, NEW))) == []


def test_an_update_says_also_that_nothing_moved_but_not_of_a_first_lock(workspace: Workspace) -> None:
    said = [list(moved.after_update(workspace, profile_of(), [written(before, OLD)], "")) for before in (OLD, None)]
    assert said == [["small: no package has another version"], []]


def test_an_index_that_does_not_answer_gives_no_reason(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> tuple[HeldBack, ...]:
        raise IndexUnavailableError("index default", "down")

    monkeypatch.setattr(pipeline, "why", silent)
    assert list(moved.staying(workspace, profile_of(), [written(OLD, NEW)], "c")) == ["c stays 1.0 (envgen why small c)"]


def test_a_package_that_no_lock_has_is_an_error(workspace: Workspace) -> None:
    profile = profile_of(PROFILE, "small")
    moved.check_locked(workspace, profile, "torch")  # it is asked for
    with pytest.raises(UsageError, match=r"^--package numpy: no requirement of small names it, and there is no lock yet") as caught:
        moved.check_locked(workspace, profile, "numpy")
    assert caught.value.hint == "run: envgen lock small"
    folder = workspace.project.lock_folder("small", LINUX)
    folder.mkdir(parents=True)
    for name, content in files_of(sample_lock(), workspace.project).items():
        (folder / name).write_bytes(content)
    moved.check_locked(workspace, profile, "numpy")
    with pytest.raises(UsageError, match=r"^--package nunpy: is in no lock of small$") as caught:
        moved.check_locked(workspace, profile, "nunpy")
    assert caught.value.hint == "did you mean 'numpy'?"
