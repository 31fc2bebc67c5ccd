"""The command line in this process, which is quick enough for thousands of cases; every ending but a traceback is one."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from command import Done

from envgen.cli import main

STARTS = ("error: ", "hint:  ", "       ")
"""What a line of an error begins with."""


def envgen(*arguments: str, project: Path, **env: str) -> Done:
    """What a command ends with; `env` is laid over the environment. A bug in envgen is raised as it is."""
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, env), redirect_stdout(out), redirect_stderr(err):
        code = main(["--project", str(project), *arguments])
    return Done(code=code, stdout=out.getvalue(), stderr=err.getvalue())


def refused(done: Done) -> bool:
    """Whether a command refused its input, in the style of errors and with one of their exit codes; False when it took it."""
    if done.code == 0:
        return False
    assert 2 <= done.code <= 8, done
    message = done.stderr[done.stderr.find("error: ") :].removesuffix("\n").split("\n")
    assert message[0].startswith("error: "), done
    assert all(line.startswith(STARTS) and line.isprintable() for line in message), done
    return True
