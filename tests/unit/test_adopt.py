"""What a team has already becomes requirements, and what can't is said."""

import os
from pathlib import Path

import pytest
from samples import PROFILE, profile_of

from envgen.core.errors import UsageError
from envgen.profiles.adopt import AdoptedRequirements, additions_to, read_requirements

PARENT = profile_of()


def read(folder: Path, text: str, name: str = "requirements.txt") -> AdoptedRequirements:
    (folder / name).write_text(text, encoding="utf-8")
    return read_requirements(folder / name)


def left_out(found: AdoptedRequirements) -> dict[str, str]:
    return {entry.text: entry.reason for entry in found.left_out}


def test_requirements_with_comments_hashes_markers_and_lines_that_go_on(tmp_path: Path) -> None:
    text = """\
# ours
Datasets >= 2.15   # data
numpy==2.3.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
sentencepiece; python_version < "3.13"
transformers[torch]
"""
    assert read(tmp_path, text).requirements == (
        "datasets>=2.15",
        "numpy==2.3.1",
        'sentencepiece; python_version < "3.13"',
        "transformers[torch]",
    )


def test_the_last_of_several_entries_holds_but_for_those_with_other_markers(tmp_path: Path) -> None:
    two = ('torch==2.12; sys_platform == "linux"', 'torch==2.13; sys_platform == "darwin"')
    assert read(tmp_path, "\n".join(two)).requirements == two
    assert read(tmp_path, "peft\nPEFT==0.18\n").requirements == ("peft==0.18",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--extra-index-url https://x.example/simple", "an index is mapped"),
        ("-i https://x.example/simple", "an index is mapped"),
        ("-c bounds.txt", "profiles/constraints"),
        ("-e .", "a folder is no wheel"),
        ("./wheels/x.whl", "a folder is no wheel"),
        ("git+https://x.example/y.git", "a direct URL"),
        ("x @ https://x.example/x.whl", "a direct URL"),
        ("--pre", "an option of pip"),
        ("torch => 2", "not a requirement"),
    ],
)
def test_what_is_not_taken_over(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, f"peft\n{line}\n")
    assert found.requirements == ("peft",)
    assert reason in left_out(found)[line]


def test_no_credentials_and_no_line_end_get_into_what_is_committed(tmp_path: Path) -> None:
    found = read(tmp_path, "--extra-index-url https://user:secret@x.example/simple\x0b\x00[index]\n")
    assert next(iter(left_out(found))).startswith("--extra-index-url https://x.example/simple")
    assert "secret" not in str(found)
    assert all(character >= " " for entry in found.left_out for character in entry.text)


def test_files_that_include_others(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("peft\n", encoding="utf-8")
    assert read(tmp_path, "-r base.txt\ndatasets\n").requirements == ("peft", "datasets")
    with pytest.raises(UsageError, match="includes itself"):
        read(tmp_path, "--requirement=requirements.txt\n")
    with pytest.raises(UsageError, match="can't be read"):
        read(tmp_path, "-r missing.txt\n")


def test_an_include_stays_below_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:*:1:secret\npeft\n", encoding="utf-8")
    project = tmp_path / "project"
    (project / "below").mkdir(parents=True)
    (project / "link.txt").symlink_to("../secret")
    (project / "below" / "more.txt").write_text("-r ../../secret\n-r ../other.txt\nrich\n", encoding="utf-8")
    (project / "other.txt").write_text("tqdm\n", encoding="utf-8")
    text = f"-r {tmp_path}/secret\n-r ../secret\n-r link.txt\n-r below/more.txt\ndatasets\n"
    found = read(project, text)
    assert found.requirements == ("tqdm", "rich", "datasets")
    assert list(left_out(found)) == [f"-r {tmp_path}/secret", "-r ../secret", "-r link.txt", "more.txt, line 1"]
    assert all(reason.startswith("it leads out of the folder") for reason in left_out(found).values())
    assert "root:" not in str(found)


def test_a_line_of_an_included_file_that_is_no_requirement_is_not_quoted(tmp_path: Path) -> None:
    lines = [
        "# ours",
        "peft",
        "root:*:20228:0",
        "tqdm \\",
        "  >=4",
        "--index-url https://x.example/token",
        "x @ https://x.example/token",
        "é\x1b[2J",
    ]
    (tmp_path / "base.txt").write_text("\r\n".join(lines), encoding="utf-8")
    found = read(tmp_path, "-r base.txt\n=broken\n")
    assert found.requirements == ("peft", "tqdm>=4")
    assert list(left_out(found)) == [*(f"base.txt, line {number}" for number in (3, 6, 7, 8)), "=broken"]
    assert left_out(found)["base.txt, line 3"] == "not a requirement"
    assert not {word for word in ("root", "token", "20228") if word in str(found)}


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UsageError, match="it is a pipe, expected a file"):
        read(tmp_path, "-r pipe.txt\n")


def test_a_pyproject(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\ndependencies = ["datasets>=2"]\n[project.optional-dependencies]\ndev = ["pytest"]\n'
    found = read(tmp_path, text, "pyproject.toml")
    assert found.requirements == ("datasets>=2",)
    assert list(left_out(found)) == ["optional-dependencies.dev"]


@pytest.mark.parametrize("text", ["[project", "project = 3", "[project]\ndependencies = 'x'", "[project]\ndependencies = [3]"])
def test_a_pyproject_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--from"):
        read(tmp_path, text, "pyproject.toml")


def test_a_conda_environment(tmp_path: Path) -> None:
    text = """\
name: x
dependencies:
  - python=3.11
  - pytorch::pytorch=2.3
  - numpy>=1.26,<3
  - pandas==2.2.3=py311h
  - scipy=1.14.*
  - pytorch-cuda=12.1
  - pip
  - pip:
      - transformers==5.1
      - -e .
"""
    found = read(tmp_path, text, "environment.yml")
    assert found.requirements == ("torch==2.3.*", "numpy<3,>=1.26", "pandas==2.2.3", "scipy==1.14.*", "transformers==5.1")
    assert list(left_out(found)) == ["python=3.11", "pytorch-cuda=12.1", "pip", "-e ."]


@pytest.mark.parametrize("text", ["a: [", "dependencies: 3", "- x", "", "dependencies: !!python/object/apply:os.getcwd []"])
def test_an_environment_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--from"):
        read(tmp_path, text, "environment.yml")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file that is understood"):
        read(tmp_path, "", "Pipfile.lock")


def test_a_bare_name_that_is_asked_for_already_says_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "torch\ntransformers==5.15.0\npeft\n")
    added = additions_to(found, PARENT, "requirements.txt")
    assert added.requirements == ("transformers==5.15.0", "peft")
    assert [(entry.text, entry.reason, entry.there) for entry in added.left_out] == [("torch", "small has it", True)]


@pytest.mark.parametrize(
    ("text", "kept", "left"),
    [
        ("torch>=2.3", (), {"torch>=2.3": 'small has torch==2.13.0, which meets it (write "torch==…" for another one)'}),
        ("torch==2.13.0", ("torch==2.13.0",), {}),
        ("torch==2.10.0", ("torch==2.10.0",), {}),
        ("demo>=1.5", ("demo>=1.5",), {}),
        ("torch[opt]", ("torch[opt]",), {}),
        ("torch\nDemo", (), {"torch, demo": "small has them"}),
        ("torch>=2.3; sys_platform == 'win32'", (), {'torch>=2.3; sys_platform == "win32"': "small has torch==2.13.0, which meets it"}),
        ("torch>=2.3\ntorch==2.10.0; sys_platform == 'win32'", ("torch>=2.3", 'torch==2.10.0; sys_platform == "win32"'), {}),
        ("numpy==2.1.3; python_version > '3.10'\nnumpy==1.24.4; sys_platform == 'win32'",
         ('numpy==2.1.3; python_version > "3.10"', 'numpy==1.24.4; sys_platform == "win32"'), {}),
        ("peft; extra == 'dev'", (), {'peft; extra == "dev"': "its marker holds on none of the targets: py311-linux-amd64"}),
        ("peft; python_version >= 'abc'", (), {"peft; python_version >= 'abc'": "its marker can't be evaluated"}),
    ],
)  # fmt: skip
def test_what_a_profile_that_is_extended_has_already(tmp_path: Path, text: str, kept: tuple[str, ...], left: dict[str, str]) -> None:
    added = additions_to(read(tmp_path, text), PARENT, "requirements.txt")
    assert added.requirements == kept
    found = left_out(added)
    assert found.keys() == left.keys()
    assert all(reason in found[entry] for entry, reason in left.items())
    # Every line is in the result, or named: and what is in it can be laid over the parent.
    listed = ", ".join(f"'{line}'" for line in added.requirements)
    assert profile_of(f'extends = "small"\nrequirements = [{listed}]', "mine", small=PROFILE)


def test_what_the_profile_that_is_extended_does_not_meet_names_both_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        additions_to(read(tmp_path, "torch>=2.14"), PARENT, "requirements.txt")
    assert str(caught.value) == "--from requirements.txt: found 'torch>=2.14', which torch==2.13.0 of profiles/small.toml does not meet"
    assert '"torch==2.14"' in caught.value.hint
