"""envgen.profiles.catalog: the project's own files come first, envgen's own fill in, and messages name both alike everywhere."""

from pathlib import Path

import pytest
from samples import LINUX, PROFILE, ROOT, profile_of

from envgen.core.errors import ProfileError, UsageError
from envgen.profiles.catalog import Catalog, shipped


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    return Catalog(project=tmp_path)


def test_both_the_project_s_profiles_and_envgen_s_own_are_there(catalog: Catalog) -> None:
    assert "small" in catalog.profiles()
    assert "cpu-base" in catalog.profiles()
    assert list(catalog.profiles()) == sorted(set(catalog.profiles()))


def test_a_profile_of_the_project_may_extend_a_shipped_one(catalog: Catalog) -> None:
    (catalog.project / "profiles" / "mine.toml").write_text('extends = "cpu-base"\nrequirements = ["datasets"]\n', encoding="utf-8")
    profile = catalog.profile("mine")
    assert "datasets" in profile.requirements
    assert "transformers" in profile.requirements
    assert profile.own == ("datasets",)
    assert dict(profile.origins)["as_of"] == "profiles/cpu-base.toml"
    assert any(bound.package == "tokenizers" for bound in catalog.bounds(profile))


def test_the_project_s_profile_hides_a_shipped_one(catalog: Catalog) -> None:
    (catalog.project / "profiles" / "cpu-base.toml").write_text(PROFILE, encoding="utf-8")
    assert catalog.profile("cpu-base").description == "A small profile"
    assert catalog.find_lock_folder("cpu-base", LINUX) is None


def test_an_unknown_profile_gets_a_suggestion(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match=r"there is no profile 'cpu-bas'") as caught:
        catalog.profile("cpu-bas")
    assert caught.value.hint == "did you mean 'cpu-base'?"


@pytest.mark.parametrize("name", ["../profiles/small", "profiles/small.toml", "", ".", "small.toml"])
def test_a_path_is_no_profile(catalog: Catalog, name: str) -> None:
    with pytest.raises(UsageError):
        catalog.profile(name)


def test_an_unknown_constraint_set_is_said_at_the_profile(catalog: Catalog) -> None:
    (catalog.project / "profiles" / "small.toml").write_text(f'constraints = ["transformer"]\n{PROFILE}', encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        catalog.profile("small")
    assert str(caught.value) == "profiles/small.toml: constraints: there is no constraint set 'transformer'"
    assert caught.value.hint == "did you mean 'transformers'?"


def test_the_project_s_lock_comes_before_the_shipped_one(catalog: Catalog) -> None:
    theirs = shipped() / "locks" / "cpu-base" / LINUX.slug
    assert catalog.find_lock_folder("cpu-base", LINUX) == theirs
    own = catalog.lock_folder("cpu-base", LINUX)
    own.mkdir(parents=True)
    (own / "envgen.lock").write_text("", encoding="utf-8")
    assert catalog.find_lock_folder("cpu-base", LINUX) == own
    assert catalog.find_lock_folder("small", LINUX) is None


def test_labels_hold_no_path_of_this_machine(catalog: Catalog) -> None:
    assert catalog.label(catalog.lock_folder("small", LINUX)) == "locks/small/py311-linux-amd64"
    assert catalog.label(shipped() / "locks" / "x") == "<envgen>/locks/x"
    assert catalog.label(Path("/elsewhere/x")) == "/elsewhere/x"
    assert Catalog(project=ROOT).label(ROOT / "profiles") == "profiles"


def test_a_template_of_the_project_comes_first(catalog: Catalog) -> None:
    assert "FROM" in catalog.template("Dockerfile.j2")
    (catalog.project / "templates").mkdir()
    (catalog.project / "templates" / "Dockerfile.j2").write_text("mine", encoding="utf-8")
    assert catalog.template("Dockerfile.j2") == "mine"
    with pytest.raises(UsageError, match=r"templates/none.j2: missing: this envgen is not whole"):
        catalog.template("none.j2")


def test_every_shipped_file_can_be_read(catalog: Catalog) -> None:
    assert len(catalog.diagnoses()) >= 8
    for name in catalog.profiles():
        catalog.bounds(catalog.profile(name))


def test_an_error_table_of_the_project_hides_a_shipped_one_of_its_name(catalog: Catalog) -> None:
    folder = catalog.project / "profiles" / "errors"
    folder.mkdir()
    (folder / "transformers.toml").write_text("", encoding="utf-8")
    assert catalog.diagnoses() == ()


def test_a_profile_without_constraints_has_no_bounds(catalog: Catalog) -> None:
    assert catalog.bounds(profile_of()) == ()
