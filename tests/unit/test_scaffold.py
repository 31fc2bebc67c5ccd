"""The files of a new project: envgen takes them, and nothing that was there is touched."""

from pathlib import Path

import pytest
from samples import NASTY

from envgen.core.errors import UsageError
from envgen.profiles import Project
from envgen.profiles.adopt import NotTaken
from envgen.profiles.scaffold import Scaffold, profile_name, project_files, write_project


def files(project: Path, **fields: object) -> dict[str, str]:
    values = {"name": "team", "extends": "cpu-base", "title": "team", **fields}
    return project_files(Scaffold(**values), Project(folder=project).init_templates())  # type: ignore[arg-type]  # test data


def test_the_profile_is_one_that_envgen_takes(tmp_path: Path) -> None:
    left_out = (NotTaken(text="-e .", reason="a folder is no wheel"),)
    asked = ("peft~=0.18", 'sentencepiece; python_version < "3.13"')
    made = files(tmp_path, title=NASTY, as_of="2026-11-01", requirements=asked, left_out=left_out, source="r.txt")
    assert write_project(tmp_path, made) == (tuple(made), ())
    profile = Project(folder=tmp_path).profile("team")
    assert profile.description == f"What {NASTY} runs"
    assert f"{profile.as_of}" == "2026-11-01"
    assert set(asked) <= set(profile.requirements)
    assert set(profile.own) == set(asked)
    assert profile.constraints == ("transformers", "team")


def test_without_anything_it_is_what_it_extends(tmp_path: Path) -> None:
    write_project(tmp_path, files(tmp_path))
    catalog = Project(folder=tmp_path)
    assert catalog.profile("team").requirements == catalog.profile("cpu-base").requirements
    assert catalog.own_profiles() == ("team",)
    assert "team" in catalog.profiles()


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n", encoding="utf-8")
    (tmp_path / ".gitattributes").symlink_to("nowhere")
    written, kept = write_project(tmp_path, files(tmp_path))
    assert kept == ("README.md", ".gitattributes")
    assert "profiles/team.toml" in written
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine\n"
    assert write_project(tmp_path, files(tmp_path))[0] == ()


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("a file\n", encoding="utf-8")
    with pytest.raises(UsageError, match="can't be written"):
        write_project(tmp_path, files(tmp_path))


@pytest.mark.parametrize(("folder", "name"), [("My Team", "my-team"), ("x.y_z", "x-y-z"), ("ü-team", "team")])
def test_the_name_is_that_of_the_folder(tmp_path: Path, folder: str, name: str) -> None:
    assert profile_name(tmp_path / folder, "", ()) == name


@pytest.mark.parametrize(("folder", "given"), [("---", ""), ("x", "../x"), ("x", "-x"), ("x", "X"), ("cuda", ""), ("x", "cuda")])
def test_names_that_no_profile_can_have(tmp_path: Path, folder: str, given: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        profile_name(tmp_path / folder, given, ("cpu-base", "cuda"))


@pytest.mark.parametrize("linked", ["profiles", ".github", ".github/workflows", "profiles/constraints"])
def test_nothing_is_written_through_a_linked_folder(tmp_path: Path, linked: str) -> None:
    elsewhere, project = tmp_path / "elsewhere", tmp_path / "project"
    elsewhere.mkdir()
    (project / linked).parent.mkdir(parents=True)
    (project / linked).symlink_to(elsewhere)
    with pytest.raises(UsageError, match=f"{linked}: a link to {elsewhere}") as caught:
        write_project(project, files(project))
    assert caught.value.hint
    assert list(elsewhere.iterdir()) == []
    assert [path for path in project.rglob("*") if path.is_file()] == []


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "project").symlink_to("real")
    assert write_project(tmp_path / "project", files(tmp_path / "project"))[0]
