"""A project made by `envgen init` goes from nothing to a tested image with the commands that its own README prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from built import remove_images
from command import envgen

WORKFLOW = ".github/workflows/images.yml"


def commands(readme: str) -> list[str]:
    block = re.search(r"```sh\n(.*?)```", readme, re.DOTALL)
    assert block
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


def test_from_nothing_to_a_tested_image(base_in_a_registry: dict[str, str], cache: Path, tmp_path: Path) -> None:
    env = {"ENVGEN_CACHE": str(cache), **base_in_a_registry}
    (tmp_path / "requirements.txt").write_text("transformers\nsix\n")
    envgen("init", "my-team", "--from", "requirements.txt", cwd=tmp_path, env=env).must_pass()
    project = tmp_path / "my-team"
    asked = commands((project / "README.md").read_text())
    assert asked == ["envgen lock", "envgen build my-team", "envgen lock --check"]
    # The locked base can't be had everywhere that tests run: the tag stands for another one today.
    envgen("update", "my-team", "--base", "--no-lock", cwd=project, env=env).must_pass()
    try:
        for command in asked:
            done = envgen(*command.split()[1:], cwd=project, env=env, timeout=900).must_pass()
            if "build" in command:
                assert "passed: 22 of 22" in done.stdout.splitlines()[0]
                assert "not the locked base" not in done.stdout
        assert sorted(path.name for path in (project / "locks").iterdir()) == ["my-team"]
    finally:
        remove_images("envgen/my-team:py311-linux-amd64")


def test_git_hands_locks_on_byte_for_byte(tmp_path: Path) -> None:
    envgen("init", ".", "--name", "team", cwd=tmp_path, env={}).must_pass()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    asked = ["git", "check-attr", "text", "linguist-generated", "--", "locks/team/py311-linux-amd64/envgen.lock"]
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "text: unset" in found
    assert "linguist-generated: set" in found


@pytest.mark.parametrize("arguments", [("--extends", "nothing"), ("--as-of", "tomorrow"), ("--from", "nowhere.txt"), ("--name", "../x")])
def test_what_is_refused_writes_nothing(tmp_path: Path, arguments: tuple[str, str]) -> None:
    envgen("init", "there", *arguments, cwd=tmp_path, env={}).must_fail(2, arguments[1].removesuffix(".txt"))
    assert list(tmp_path.iterdir()) == []


def test_the_steps_of_the_workflow_do_what_they_should(tmp_path: Path) -> None:
    """The shell steps as they are written, but for the installation and Docker's configuration."""
    import yaml

    envgen("init", ".", "--name", "team", cwd=tmp_path, env={}).must_pass()
    steps = yaml.safe_load((tmp_path / WORKFLOW).read_text())["jobs"]["locks"]["steps"]
    script = next(step["run"] for step in steps if step.get("id") == "matrix")
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)

    def cells(before: str) -> list[str]:
        output = tmp_path.parent / f"{tmp_path.name}-output"
        output.write_text("")
        env = {**os.environ, "GITHUB_OUTPUT": str(output), "BEFORE": before}
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)
        name, _, value = output.read_text().partition("=")
        assert name == "matrix"
        return [f"{cell['profile']} {cell['target']}" for cell in json.loads(value)["include"]]

    everything = ["team py311-linux-amd64"]
    assert cells("0" * 40) == everything
    assert cells("HEAD") == []
    profile = tmp_path / "profiles" / "team.toml"
    profile.write_text(profile.read_text() + "\n# changed\n")
    assert cells("HEAD") == everything
