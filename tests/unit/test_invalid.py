"""tests/invalid: each folder is a project with something wrong in it, and the transcript of what envgen says to that.

A transcript is the command, its standard error word for word, and its exit code. After a change of a message that is
meant, `python tests/unit/test_invalid.py` writes the transcripts anew: review the difference.
"""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from envgen.cli import main

INVALID = Path(__file__).parents[1] / "invalid"
CASES = sorted(path.parent for path in INVALID.glob("*/transcript"))


def transcript(case: Path, place: Path) -> str:
    """What envgen says to the command of `case` in a copy of its project at `place`."""
    project = place / "project"
    shutil.copytree(case, project, ignore=shutil.ignore_patterns("transcript"))
    command = (case / "transcript").read_text(encoding="utf-8").splitlines()[0]
    arguments = command.removeprefix("$ envgen ").split()
    before = files_in(project)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["--project", str(project), *arguments])
    assert out.getvalue() == "", "an error and a result at once"
    assert files_in(project) == before, "something was written"
    return f"{command}\n{err.getvalue()}exit code {code}\n"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ENVGEN_CACHE", str(tmp_path / "cache"))
    yield
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_said_word_for_word(case: Path, tmp_path: Path) -> None:
    assert transcript(case, tmp_path) == (case / "transcript").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_transcript_is_in_the_style_of_errors(case: Path) -> None:
    command, *lines, code = (case / "transcript").read_text(encoding="utf-8").splitlines()
    assert command.startswith("$ envgen ")
    assert code in {f"exit code {number}" for number in range(2, 9)}
    assert lines[0].startswith("error: ")
    assert all(line.startswith(("error: ", "hint:  ", "       ")) for line in lines)
    assert not any(word in line for line in lines for word in ("Traceback", "hunter2", str(INVALID), "/tmp"))


def test_there_are_cases() -> None:
    assert len(CASES) >= 40


if __name__ == "__main__":
    os.environ["ENVGEN_CACHE"] = "/nonexistent"
    for folder in CASES:
        with tempfile.TemporaryDirectory() as work:
            found = transcript(folder, Path(work))
        (folder / "transcript").write_text(found, encoding="utf-8")
