"""Standard streams that are closed: a command works as if nobody looked, and a program that it starts meets no file of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from command import program
from tiny import Site

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


def ran(command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"exec {program()} {command}"], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("closed", CLOSED)
def test_a_lock_is_made_and_checked(locked: Site, closed: str) -> None:
    before = locked.locks()
    for path in (locked.project / "locks").rglob("envgen.lock"):
        path.unlink()
    for command in ("lock tiny", "lock tiny --check", "lock tiny --check --json"):
        done = ran(f"{command} {closed}", locked.project, **locked.env)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert locked.locks() == before


def test_an_error_has_its_exit_code_where_nobody_reads_it(locked: Site) -> None:
    (locked.project / "profiles" / "tiny.toml").write_text("what")
    assert ran("lock tiny --check 2>&-", locked.project, **locked.env).returncode == 2


def test_no_text_can_be_read_from_a_closed_input(locked: Site) -> None:
    done = ran("doctor --explain - <&-", locked.project, **locked.env)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert done.stderr.startswith("error: --explain: no text to look up\n")
