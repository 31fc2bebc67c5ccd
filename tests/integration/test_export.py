"""pylock.toml, installed as it is by uv and by pip."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from loopback import Proxy
from packaging.pylock import Pylock
from tiny import ALPHA, BETA, GAMMA, Site

UV = Path(sys.executable).with_name("uv")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed(python: Path, cwd: Path) -> dict[str, str]:
    program = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    found: dict[str, str] = json.loads(run(python, "-c", program, cwd=cwd))
    return found


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("offline", [False, True], ids=["from the index", "from the store"])
def test_it_is_installed_as_it_is(locked: Site, index: Proxy, tmp_path: Path, installer: str, offline: bool) -> None:
    if offline:
        # Locking has brought the wheels into the store, since this index publishes no hashes; the copy has forgotten them.
        locked.envgen("lock", "tiny").must_pass()
    seen = index.faults.requests("")
    text = locked.envgen("export", "tiny", *(["--offline"] if offline else [])).must_pass().stdout
    assert (index.faults.requests("") == seen) == offline
    (tmp_path / "pylock.toml").write_text(text)
    lock = tomllib.loads(next(content for name, content in locked.locks().items() if name.endswith("envgen.lock")).decode())
    assert {(package.name, str(package.version)) for package in Pylock.from_dict(tomllib.loads(text)).packages} == {
        (package["name"], package["version"]) for package in lock["package"]
    }

    python = tmp_path / "venv" / "bin" / "python"
    run(UV, "venv", "--quiet", "--no-config", "--python", "3.11", "venv", cwd=tmp_path)
    if installer == "uv":
        run(
            UV,
            "pip",
            "sync",
            "--no-config",
            "--no-cache",
            "--offline" if offline else "--quiet",
            "--python",
            python,
            "pylock.toml",
            cwd=tmp_path,
        )
    else:
        run(sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "--python", python, "install", "-r", "pylock.toml", cwd=tmp_path)
    assert installed(python, tmp_path) == {ALPHA: "1.0", BETA: "1.0", GAMMA: "1.0"}


def test_a_lock_that_is_stale_is_not_exported(locked: Site) -> None:
    profile = locked.project / "profiles" / "tiny.toml"
    profile.write_text(profile.read_text().replace("2026-09-22", "2026-09-21", 1))
    done = locked.envgen("export", "tiny")
    done.must_fail(4, "the lock is stale")
    assert done.stdout == ""
