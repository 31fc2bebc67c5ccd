"""The matrix: its cells, what of it a change affects, and the file for bake."""

from pathlib import Path

import pytest
from samples import NASTY, PROFILE, sample_lock, wheel

from envgen.core.errors import UsageError
from envgen.core.settings import read_settings
from envgen.core.target import PLATFORMS
from envgen.engine import BuildRequest
from envgen.image.bake import BakeTarget, bake_file, bake_name, index_arguments, write_contexts
from envgen.image.matrix import RUNNERS, MatrixEntry, matrix_entries
from envgen.profiles import Project
from envgen.sources import WheelStore

CHILD = 'extends = "small"\ndescription = "A child"\nplatforms = ["linux/amd64"]\nconstraints = ["papers"]\n'
PAPERS = 'description = "papers"\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "profiles" / "constraints").mkdir(parents=True)
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "profiles" / "child.toml").write_text(CHILD, encoding="utf-8")
    (tmp_path / "profiles" / "constraints" / "papers.toml").write_text(PAPERS, encoding="utf-8")
    return Project(folder=tmp_path)


def found(project: Project, *changed: str) -> list[str]:
    profiles = [project.profile(name) for name in ("child", "small")]
    return [f"{cell.profile} {cell.target}" for cell in matrix_entries(project, profiles, changed or None)]


CHILD_CELLS = ["child py311-linux-amd64"]
SMALL_CELLS = ["small py311-linux-amd64", "small py311-windows-amd64"]


def test_every_profile_on_every_target(project: Project) -> None:
    assert found(project) == CHILD_CELLS + SMALL_CELLS


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("profiles/small.toml", CHILD_CELLS + SMALL_CELLS),
        ("profiles/child.toml", CHILD_CELLS),
        ("profiles/constraints/papers.toml", CHILD_CELLS),
        ("profiles/constraints/others.toml", []),
        ("templates/Dockerfile.j2", CHILD_CELLS + SMALL_CELLS),
        ("templates/other.j2", []),
        ("profiles/toolkits/cuda.toml", []),
        ("locks/small/py311-windows-amd64/envgen.lock", SMALL_CELLS[1:]),
        ("locks/small/py311-windows-amd64x/envgen.lock", []),
        ("README.md", []),
    ],
)
def test_what_a_change_affects(project: Project, changed: str, affected: list[str]) -> None:
    assert found(project, changed) == affected


def test_a_change_of_the_toolkits_affects_what_has_cuda(project: Project) -> None:
    text = PROFILE[: PROFILE.index("[index.")] + PROFILE[PROFILE.index("[layers]") :]
    gpu = text.replace('"windows/amd64"', '"linux/arm64"').replace("as_of", 'cuda = "13.0"\nas_of', 1)
    (project.folder / "profiles" / "gpu.toml").write_text(gpu, encoding="utf-8")
    profiles = [project.profile(name) for name in ("gpu", "small")]
    affected = [f"{cell.profile} {cell.target}" for cell in matrix_entries(project, profiles, ["profiles/toolkits/cuda.toml"])]
    assert affected == ["gpu py311-linux-amd64", "gpu py311-linux-arm64"]


def test_every_platform_has_a_runner_of_its_own_processor() -> None:
    assert RUNNERS.keys() == set(PLATFORMS)
    assert {platform: runner for platform, runner in RUNNERS.items() if platform.startswith("linux/")} == {
        "linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm",
    }  # fmt: skip
    assert {platform.partition("/")[0]: runner.partition("-")[0] for platform, runner in RUNNERS.items()} == {
        "linux": "ubuntu", "macos": "macos", "windows": "windows",
    }  # fmt: skip


def test_a_cell_for_arm_runs_on_arm(project: Project) -> None:
    (project.folder / "profiles" / "arm.toml").write_text(PROFILE.replace("windows/amd64", "linux/arm64"), encoding="utf-8")
    runners = {cell.platform: cell.runner for cell in matrix_entries(project, [project.profile("arm")])}
    assert runners == {"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"}


def test_a_change_of_nothing_affects_nothing(project: Project) -> None:
    assert list(matrix_entries(project, [project.profile("small")], frozenset())) == []


def test_what_a_cell_says(project: Project) -> None:
    linux, windows = matrix_entries(project, [project.profile("small")])
    assert isinstance(linux, MatrixEntry)
    assert (linux.image, linux.tiers, linux.gpu, linux.runner) == (True, ("static", "cpu"), False, "ubuntu-24.04")
    assert (windows.image, windows.tiers, windows.base, windows.runner) == (False, (), "", "windows-2025")
    assert linux.lock == ""  # not locked yet


def request_of(**fields: object) -> BuildRequest:
    values: dict[str, object] = {
        "dockerfile": b"",
        "contexts": {"wheels-own": Path("wheels/own-1")},
        "arguments": {"SOURCE_DATE_EPOCH": "1"},
        "labels": {},
        "tag": "registry.example/team:small",
        "platform": "linux/amd64",
        **fields,
    }
    return BuildRequest(**values)  # type: ignore[arg-type]  # test data


def test_a_bake_file_has_the_parts_of_a_build() -> None:
    plain = BakeTarget(name="team.x-py311", folder=Path("locks/small"), request=request_of(compression="gzip"))
    pushed = BakeTarget(name="b", folder=Path("locks/b"), request=request_of(contexts={}), cache="registry.example/cache:b", push=True)
    file = bake_file([plain, pushed])
    assert file["group"] == {"default": {"targets": ["team_x-py311", "b"]}}
    targets = file["target"]
    assert isinstance(targets, dict)
    first, second = targets["team_x-py311"], targets["b"]
    assert (first["context"], first["contexts"]) == ("locks/small", {"wheels-own": "wheels/own-1"})
    assert first["output"] == ["type=image,name=registry.example/team:small,compression=gzip,force-compression=true,oci-mediatypes=true"]
    assert "cache-from" not in first
    assert second["output"][0].endswith(",push=true")
    assert second["cache-to"] == ["type=registry,ref=registry.example/cache:b,mode=max,compression=zstd"]


def test_what_bake_would_read_as_a_template_is_escaped() -> None:
    file = bake_file([BakeTarget(name="a", folder=Path("a"), request=request_of(labels={"nasty": NASTY, "if": "%{ if x }"}))])
    labels = file["target"]["a"]["labels"]  # type: ignore[index]  # test data
    assert labels["nasty"] == NASTY.replace("${", "$${")
    assert labels["if"] == "%%{ if x }"


def test_names_that_bake_does_not_take() -> None:
    assert bake_name("team.1-py311-linux") == "team_1-py311-linux"


def test_wheels_are_handed_out_once_for_all_profiles(tmp_path: Path) -> None:
    store = WheelStore(tmp_path / "store")
    content = b"a wheel"
    import hashlib

    sha256 = hashlib.sha256(content).hexdigest()
    one = wheel("demo", sha256=sha256)
    store.path(sha256, one.file).parent.mkdir(parents=True)
    store.path(sha256, one.file).write_bytes(content)
    first = write_contexts(store, {"own": [one]}, tmp_path / "out")
    (first["own"] / one.file).unlink()
    (first["own"] / one.file).write_bytes(b"somebody else's")
    again = write_contexts(store, {"own": [one]}, tmp_path / "out")
    assert again == first
    assert (again["own"] / one.file).read_bytes() == content
    assert [path.name for path in first["own"].iterdir()] == [one.file]


def test_a_builder_is_told_of_mirrors_but_not_of_folders(tmp_path: Path) -> None:
    lock = sample_lock()
    mirrored = read_settings({"ENVGEN_INDEX_DEFAULT": "https://mirror.example/simple"}, tmp_path)
    assert index_arguments(lock, mirrored) == {"INDEX_DEFAULT": "https://mirror.example/simple"}
    with pytest.raises(UsageError, match="builders can't reach"):
        index_arguments(lock, read_settings({"ENVGEN_INDEX_PYTORCH_CPU": str(tmp_path)}, tmp_path))
