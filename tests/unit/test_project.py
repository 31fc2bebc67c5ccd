"""envgen.lock.project: what is refused before any resolver is asked."""

import datetime as dt
from pathlib import Path

import pytest
from samples import PROFILE, ROOT, profile_of, sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import ProfileError, UsageError
from envgen.core.settings import Settings, read_settings
from envgen.core.target import Target
from envgen.image.layer_record import check_writable
from envgen.lock import wanted_locks, write_locks
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.profiles import Project, edit
from envgen.sources import Packages
from envgen.workspace import Workspace


class NeverAsked:
    """A resolver that fails the test when it is asked."""

    name = "never"

    def __init__(self, _settings: Settings, _packages: Packages) -> None: ...

    def check(self, target: Target) -> None: ...

    def resolve(self, query: ResolveRequest) -> Resolution:
        raise AssertionError(query)


def test_only_the_locks_that_images_are_built_from(tmp_path: Path) -> None:
    workspace = Workspace(project=Project(folder=ROOT), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    every = wanted_locks(workspace, ["cpu-base"], "")
    built = wanted_locks(workspace, ["cpu-base"], "", images=True)
    assert built == tuple(lock for lock in every if lock.base)
    assert 0 < len(built) < len(every)
    windows = next(lock.target.slug for lock in every if not lock.base)
    with pytest.raises(UsageError, match="--images: no image is built from any of these locks"):
        wanted_locks(workspace, ["cpu-base"], windows, images=True)


def test_a_date_that_has_not_begun_is_refused(tmp_path: Path) -> None:
    profile = profile_of(PROFILE.replace("as_of = 2026-09-22", "as_of = 2999-01-01"))
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    with pytest.raises(ProfileError, match=r"as_of: found 2999-01-01, which has not begun in UTC"):
        write_locks(workspace, profile, profile.targets(), NeverAsked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["libcore", "Lib_Core", '"lib.core"'])
def test_a_date_of_a_package_that_has_not_begun_is_refused(tmp_path: Path, key: str) -> None:
    tomorrow = dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1)
    profile = profile_of(f"{PROFILE}\n[package.{key}]\nas_of = {tomorrow}\n")
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    with pytest.raises(ProfileError) as caught:
        write_locks(workspace, profile, profile.targets(), NeverAsked)
    assert str(caught.value).startswith(f"profiles/small.toml: package.{key}.as_of: found {tomorrow}, which has not begun in UTC")
    assert list(tmp_path.iterdir()) == []


class Refuses(NeverAsked):
    """A resolver that can't do any target."""

    def check(self, target: Target) -> None:
        raise UsageError(target.slug, "not this target")


class Listening(QuietReporter):
    """Notes each step."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def test_what_is_replaced_is_said_before_any_resolver_is_asked(tmp_path: Path) -> None:
    profile = profile_of('extends = "small"\nrequirements = ["torch>=2.3", "demo>=2"]', "mine", small=PROFILE)
    listening = Listening()
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=listening)
    with pytest.raises(UsageError, match="not this target"):
        write_locks(workspace, profile, profile.targets(), Refuses)
    assert listening.steps == [
        "mine: torch>=2.3: profiles/small.toml has torch==2.13.0, which meets it",
        "mine: demo>=2 replaces demo>=1 of profiles/small.toml",
    ]


@pytest.mark.parametrize("linked", ["locks", "locks/small", "locks/small/py311-linux-amd64"])
def test_no_lock_and_no_record_is_written_through_a_linked_folder(tmp_path: Path, linked: str) -> None:
    elsewhere, project = tmp_path / "elsewhere", tmp_path / "project"
    (project / linked).parent.mkdir(parents=True)
    (elsewhere / "small" / "py311-linux-amd64").mkdir(parents=True)
    (project / linked).symlink_to(elsewhere.joinpath(*Path(linked).parts[1:]))
    folder = project / "locks" / "small" / "py311-linux-amd64"
    assert folder.is_dir()
    (folder / "envgen.lock").touch()
    workspace = Workspace(project=Project(folder=project), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    profile = profile_of()
    with pytest.raises(UsageError, match=f"{linked}: a link to "):
        write_locks(workspace, profile, profile.targets(), NeverAsked)
    with pytest.raises(UsageError, match=f"{linked}: a link to "):
        check_writable(workspace, sample_lock())


def test_no_profile_is_edited_through_a_link(tmp_path: Path) -> None:
    elsewhere, project = tmp_path / "elsewhere", Project(folder=tmp_path / "project")
    elsewhere.mkdir()
    project.folder.mkdir()
    (elsewhere / "small.toml").write_text(PROFILE)
    (project.folder / "profiles").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="profiles: a link to "):
        edit.profile_path(project, "small")


def test_a_link_in_the_way_of_an_edit_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    path, victim = tmp_path / "profiles" / "small.toml", tmp_path / "victim"
    path.write_text(PROFILE)
    victim.write_text("mine")
    (path.parent / ".small.toml.new").symlink_to(victim)
    edit.move_date(path, edit.parse_day("2026-10-01"), "")
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
    assert "as_of = 2026-10-01" in path.read_text()
