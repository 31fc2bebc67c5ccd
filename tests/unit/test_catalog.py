"""envgen.profiles.catalog: the project's own files come first, envgen's own fill in, and messages name both alike everywhere."""

from pathlib import Path

import pytest
from samples import LINUX, PROFILE, ROOT, profile_of

from envgen.core.errors import ProfileError, UsageError
from envgen.profiles import Project
from envgen.profiles.catalog import shipped


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    return Project(folder=tmp_path)


def test_both_the_project_s_profiles_and_envgen_s_own_are_there(project: Project) -> None:
    assert "small" in project.profiles()
    assert "cpu-base" in project.profiles()
    assert list(project.profiles()) == sorted(set(project.profiles()))


def test_a_profile_of_the_project_may_extend_a_shipped_one(project: Project) -> None:
    (project.folder / "profiles" / "mine.toml").write_text('extends = "cpu-base"\nrequirements = ["datasets"]\n', encoding="utf-8")
    profile = project.profile("mine")
    assert "datasets" in profile.requirements
    assert "transformers" in profile.requirements
    assert profile.own == ("datasets",)
    assert dict(profile.origins)["as_of"] == "profiles/cpu-base.toml"
    assert any(bound.package == "tokenizers" for bound in project.bounds(profile))


def test_the_project_s_profile_hides_a_shipped_one(project: Project) -> None:
    (project.folder / "profiles" / "cpu-base.toml").write_text(PROFILE, encoding="utf-8")
    assert project.profile("cpu-base").description == "A small profile"
    assert project.find_lock_folder("cpu-base", LINUX) is None


def test_an_unknown_profile_gets_a_suggestion(project: Project) -> None:
    with pytest.raises(UsageError, match=r"there is no profile 'cpu-bas'") as caught:
        project.profile("cpu-bas")
    assert caught.value.hint == "did you mean 'cpu-base'?"


@pytest.mark.parametrize("name", ["../profiles/small", "profiles/small.toml", "", ".", "small.toml"])
def test_a_path_is_no_profile(project: Project, name: str) -> None:
    with pytest.raises(UsageError):
        project.profile(name)


def test_an_unknown_constraint_set_is_said_at_the_profile(project: Project) -> None:
    (project.folder / "profiles" / "small.toml").write_text(f'constraints = ["transformer"]\n{PROFILE}', encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        project.profile("small")
    assert str(caught.value) == "profiles/small.toml: constraints: there is no constraint set 'transformer'"
    assert caught.value.hint == "did you mean 'transformers'?"


def test_the_project_s_lock_comes_before_the_shipped_one(project: Project) -> None:
    theirs = shipped() / "locks" / "cpu-base" / LINUX.slug
    assert project.find_lock_folder("cpu-base", LINUX) == theirs
    own = project.lock_folder("cpu-base", LINUX)
    own.mkdir(parents=True)
    (own / "envgen.lock").write_text("", encoding="utf-8")
    assert project.find_lock_folder("cpu-base", LINUX) == own
    assert project.find_lock_folder("small", LINUX) is None


def test_labels_hold_no_path_of_this_machine(project: Project) -> None:
    assert project.label(project.lock_folder("small", LINUX)) == "locks/small/py311-linux-amd64"
    assert project.label(shipped() / "locks" / "x") == "<envgen>/locks/x"
    assert project.label(Path("/elsewhere/x")) == "/elsewhere/x"
    assert Project(folder=ROOT).label(ROOT / "profiles") == "profiles"


def test_a_template_of_the_project_comes_first(project: Project) -> None:
    assert "FROM" in project.template("Dockerfile.j2")
    (project.folder / "templates").mkdir()
    (project.folder / "templates" / "Dockerfile.j2").write_text("mine", encoding="utf-8")
    assert project.template("Dockerfile.j2") == "mine"
    with pytest.raises(UsageError, match=r"templates/none.j2: missing: this envgen is not whole"):
        project.template("none.j2")


def test_every_shipped_file_can_be_read(project: Project) -> None:
    assert len(project.diagnoses()) >= 8
    for name in project.profiles():
        project.bounds(project.profile(name))


def test_an_error_table_of_the_project_hides_a_shipped_one_of_its_name(project: Project) -> None:
    folder = project.folder / "profiles" / "errors"
    folder.mkdir()
    before = {entry.cause for entry in project.diagnoses()}
    (folder / "transformers.toml").write_text("", encoding="utf-8")
    after = {entry.cause for entry in project.diagnoses()}
    assert before - after >= {"PyTorch is not in the image"}
    assert after < before


def test_a_profile_without_constraints_has_no_bounds(project: Project) -> None:
    assert project.bounds(profile_of()) == ()
