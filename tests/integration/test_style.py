"""The checkout is as the linters want it: the same commands as in CONTRIBUTING."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "envgen" / "smoke" / "probe"
# Inside the image its modules know each other by their short names; nothing there is typed by us.
PROBE_FOLDERS = (PROBE, PROBE / "static", PROBE / "model")
PROBE_OPTIONS = ("--strict", "--python-version", "3.10", "--explicit-package-bases", "--ignore-missing-imports", "--config-file=")


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (("ruff", "check"), ROOT),
        (("ruff", "format", "--check"), ROOT),
        (("mypy",), ROOT),
        (("mypy", *PROBE_OPTIONS, *sorted(str(path.relative_to(PROBE)) for path in PROBE.rglob("*.py"))), PROBE),
        (("lint-imports",), ROOT),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "-".join(value[:2]),
)
def test_a_linter_has_nothing_to_say(command: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    program = shutil.which(command[0])
    assert program, f"{command[0]} is not installed: pip install '.[test]'"
    env = {**os.environ, "MYPY_CACHE_DIR": str(tmp_path), "RUFF_NO_CACHE": "true", "PYTHONPATH": str(ROOT)}
    env["MYPYPATH"] = os.pathsep.join(map(str, PROBE_FOLDERS if folder == PROBE else (folder,)))
    ended = subprocess.run([program, *command[1:]], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
