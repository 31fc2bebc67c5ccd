"""envgen.trust.diff.sides: what a word on the command line stands for, and what is compared with what."""

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from samples import sample_lock

from envgen.core.errors import EngineError, StaleLockError, UsageError
from envgen.engine import Image
from envgen.lock.model import dump_lock
from envgen.trust.diff import ImageSide, LockSide, OperandFinder, check_profile, restrict_to_common

COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGE = Image(name="app:1", digest=f"sha256:{'d' * 64}", size=1, labels={})
SMALL, LARGE = sample_lock(), sample_lock(profile="large")
WINDOWS = sample_lock(platform="windows/amd64", base="", installer=None)


@dataclass
class History:
    """A repository that is no repository: its revisions with their files."""

    revisions: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)

    def commit(self, revision: str) -> str:
        if revision not in self.revisions:
            raise UsageError(revision, "no such git revision", hint="use one of main")
        self._at = revision
        return COMMIT

    def files(self, commit: str, folder: str) -> Iterator[tuple[str, str]]:
        assert (commit, folder) == (COMMIT, "locks")
        return ((path, f"{self._at} {path}") for path in self.revisions[self._at])

    def content(self, blob: str) -> bytes:
        revision, _, path = blob.partition(" ")
        return self.revisions[revision][path]


class Store:
    """An engine's store with one image."""

    def image(self, name: str) -> Image | None:
        return IMAGE if name in (IMAGE.name, IMAGE.digest) else None


def no_engine() -> Store:
    raise EngineError("docker", "no engine answers")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three locks of two profiles; the tests run in their folder."""
    monkeypatch.chdir(tmp_path)
    for lock in (SMALL, LARGE, WINDOWS):
        folder = tmp_path / "locks" / lock.profile / lock.target.slug
        folder.mkdir(parents=True)
        (folder / "envgen.lock").write_bytes(dump_lock(lock))
    return tmp_path


REVISIONS = {
    "main": {"locks/small/py311-linux-amd64/envgen.lock": dump_lock(SMALL), "locks/small/py311-linux-amd64/requirements.txt": b"demo"},
    "bare": {"locks/README": b"nothing yet"},
    "old": {"locks/small/py311-linux-amd64/envgen.lock": b"version = 0\n", "locks/large/t/envgen.lock": dump_lock(LARGE)},
    "locks": {},
    "app:1": {"locks/small/py311-linux-amd64/envgen.lock": dump_lock(SMALL)},
}


def finder(project: Path, profile: str = "", engine: object = Store, revisions: object = REVISIONS) -> OperandFinder:
    return OperandFinder(project=project, repository=History(revisions), engine=engine, profile=profile)  # type: ignore[arg-type]  # stand-ins


def found(project: Path, word: str, profile: str = "") -> tuple[str, list[tuple[str, str]], bool, frozenset[str]]:
    side = finder(project, profile).find(word)
    assert isinstance(side, LockSide)
    return side.label, sorted((lock.profile, lock.target.slug) for lock in side.locks), side.single, side.profiles


LINUX = "py311-linux-amd64"
ALL = [("large", LINUX), ("small", LINUX), ("small", "py311-windows-amd64")]


@pytest.mark.parametrize(
    ("word", "keys", "single", "profiles"),
    [
        ("./locks", ALL, False, set()),
        (".", ALL, False, set()),
        ("locks/small", ALL[1:], False, {"small"}),
        ("locks/small/", ALL[1:], False, {"small"}),
        ("locks/large/py311-linux-amd64", ALL[:1], True, set()),
        ("locks/large/py311-linux-amd64/envgen.lock", ALL[:1], True, set()),
    ],
)
def test_a_path_is_a_lock_or_a_folder_of_them(project: Path, word: str, keys: object, single: bool, profiles: set[str]) -> None:
    assert found(project, word) == (word, keys, single, profiles)


def test_a_lock_may_have_any_name(project: Path) -> None:
    (project / "kept").write_bytes(dump_lock(SMALL))
    assert found(project, "kept")[1:3] == (ALL[1:2], True)


def test_an_absolute_path_is_as_good(project: Path) -> None:
    assert found(project, str(project / "locks"))[1] == ALL


def test_what_is_now_is_in_the_project_and_not_in_the_current_folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        side = finder(project).now()
    assert (len(side.locks), side.label) == (3, "the locks as they are now")


@pytest.mark.parametrize("word", ["main", "git:main"])
def test_a_revision_has_the_locks_that_it_had(project: Path, word: str) -> None:
    assert found(project, word) == ("git revision main (0123456789ab)", ALL[1:2], False, frozenset())


@pytest.mark.parametrize("word", [IMAGE.digest, f"image:{IMAGE.digest}", "image:app:1"])
def test_an_image_is_in_the_engines_store(project: Path, word: str) -> None:
    assert finder(project).find(word) == ImageSide(label=f"image {word.removeprefix('image:')} (sha256:{'d' * 12})", image=IMAGE)


def test_a_revision_comes_before_an_image(project: Path) -> None:
    assert found(project, "app:1")[0] == "git revision app:1 (0123456789ab)"
    assert isinstance(finder(project, revisions={}).find("app:1"), ImageSide)


def test_a_tar_archive_is_an_image(project: Path) -> None:
    with tarfile.open(project / "image.tar", "w") as archive:
        archive.add(project / "locks", "locks")
    assert finder(project).find("image.tar") == ImageSide(label="archive image.tar", path=Path("image.tar"))


@pytest.mark.parametrize(
    ("word", "problem", "hint"),
    [
        ("locks", "locks: both a path and a git revision", "write ./locks or git:locks"),
        ("git:nope", "nope: no such git revision", "use one of main"),
        ("image:nope", "image:nope: no such image in the engine's store", "see: docker image ls --digests"),
        (f"sha256:{'0' * 64}", f"image:sha256:{'0' * 64}: no such image", "see: docker image ls"),
        ("HEAD~9", "HEAD~9: no such path, and no such git revision", "use one of main"),
        (
            "nope",
            "nope: no such path,\nas a git revision: no such git revision,\nas an image: no such image",
            "use one of main",
        ),
        ("bare", "bare: has no locks below locks/", "see: git ls-tree -r 0123456789ab"),
        ("empty", "empty: has no locks", "run: envgen lock"),
        ("pipe", "pipe: neither a file nor a folder", "name an envgen.lock"),
        ("twice", "twice: has two locks of small for py311-linux-amd64", "name one project's locks"),
        ("large.bin", "large.bin: far too large for a lock", "docker save"),
        ("x" * 300, f"{'x' * 300}: no such path", "use one of main"),
    ],
)
def test_what_can_not_be_found_is_said_with_a_cure(project: Path, word: str, problem: str, hint: str) -> None:
    (project / "empty").mkdir()
    os.mkfifo(project / "pipe")
    (project / "large.bin").write_bytes(b"x" * 20_000_001)
    for name in ("a", "b"):
        (project / "twice" / name).mkdir(parents=True)
        (project / "twice" / name / "envgen.lock").write_bytes(dump_lock(SMALL))
    with pytest.raises(UsageError) as caught:
        finder(project).find(word)
    assert str(caught.value).startswith(problem)
    assert caught.value.hint.startswith(hint)


def test_without_an_engine_the_error_says_so(project: Path) -> None:
    with pytest.raises(UsageError, match="as an image: no engine answers"):
        finder(project, engine=no_engine).find("nope")


def test_a_project_without_locks_is_told_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no locks") as caught:
        finder(tmp_path).now()
    assert "envgen lock" in caught.value.hint


def test_a_lock_that_was_edited_is_refused(project: Path) -> None:
    path = project / "locks" / "large" / LINUX / "envgen.lock"
    path.write_bytes(path.read_bytes().replace(b'"A small profile"', b'"A large profile"'))
    with pytest.raises(StaleLockError, match=r"^locks/large/py311-linux-amd64/envgen.lock: edited by hand"):
        finder(project).now()


def test_an_old_lock_of_another_version_is_refused_with_its_revision(project: Path) -> None:
    with pytest.raises(StaleLockError, match=r"^old:locks/small/py311-linux-amd64/envgen.lock: not a lock that envgen wrote") as caught:
        finder(project).find("old")
    assert "another envgen wrote this lock" in str(caught.value)
    assert caught.value.hint.startswith("compare with a revision whose locks this envgen can read")


def test_only_the_profile_that_is_asked_about_is_read(project: Path) -> None:
    assert found(project, "old", profile="large")[1] == ALL[:1]
    assert found(project, "./locks", profile="small")[1] == ALL[1:]
    assert found(project, "locks/large/py311-linux-amd64", profile="small")[1:3] == ([], False)


def side(*locks: object, **fields: object) -> LockSide:
    return LockSide(label="some", locks=locks, **fields)  # type: ignore[arg-type]  # test data


def test_a_part_is_compared_with_the_same_part() -> None:
    all_of_them = side(SMALL, LARGE, WINDOWS)
    one = side(LARGE, single=True)
    assert restrict_to_common(one, all_of_them) == (one, side(LARGE))
    assert restrict_to_common(all_of_them, one) == (side(LARGE), one)
    profile = side(SMALL, profiles=frozenset({"small"}))
    assert restrict_to_common(profile, all_of_them) == (profile, side(SMALL, WINDOWS))
    assert restrict_to_common(all_of_them, replace(all_of_them, label="others")) == (all_of_them, replace(all_of_them, label="others"))


def test_two_single_locks_are_both_kept() -> None:
    pair = side(SMALL, single=True), side(LARGE, single=True)
    assert restrict_to_common(*pair) == pair


def test_a_profile_on_neither_side_is_refused() -> None:
    check_profile("small", side(), side(SMALL))
    check_profile("", side(), side())
    with pytest.raises(UsageError, match=r"^--profile nope: neither side has a lock of it$"):
        check_profile("nope", side(), side())
