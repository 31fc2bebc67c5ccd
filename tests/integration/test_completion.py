"""Completion in a real shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command import envgen

ASK = """
eval "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
function=$(complete -p envgen | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    return envgen("completion", "bash", cwd=tmp_path_factory.mktemp("completion"), env={}).must_pass().stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("envgen", "bui"), {"build"}),
        (("envgen", "build", "c"), {"cpu-base", "cuda", "company"}),
        (("envgen", "build", "--comp"), {"--compression"}),
        (("envgen", "matrix", "--format", "g"), {"github"}),
        (("envgen", "nothing", "x"), set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_bash_completes(script: str, words: tuple[str, ...], found: set[str], tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "company.toml").write_text('extends = "cuda"\ndescription = "ours"\n')
    done = subprocess.run(["bash", "-c", ASK, "bash", script, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == found, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_are_given_something(shell: str, tmp_path: Path) -> None:
    assert "envgen" in envgen("completion", shell, cwd=tmp_path, env={}).must_pass().stdout
