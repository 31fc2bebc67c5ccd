"""What the integration tests share: the envgen command that is installed beside this Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest


class RunEnvgen(Protocol):
    """Runs `envgen ARGS` in `cwd`; `env` goes on top of this process's environment."""

    def __call__(
        self, *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def run_envgen() -> RunEnvgen:
    script = shutil.which("envgen", path=str(Path(sys.executable).parent))
    # -P: without a script, too, the folder it runs in is no place to import from.
    command = [script] if script else [sys.executable, "-P", "-m", "envgen"]

    def run(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, args)], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
        )

    return run
