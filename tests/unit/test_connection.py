"""envgen.engine.docker.connection: why no engine can be reached, from what the SDK raises."""

import errno
from pathlib import Path

import pytest

from envgen.core.errors import DiskFullError, EngineError
from envgen.engine.docker.connection import no_connection

HOST = "unix:///run/docker.sock"


def as_the_sdk_has_it(number: int) -> Exception:
    """An error of the system, as deep in others as it comes out of urllib3, requests and Docker's SDK."""
    inner = OSError(number, "said by the system")
    return ValueError("Error while fetching server API version", ConnectionError(RuntimeError("Connection aborted.", inner)))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNREFUSED])
def test_no_engine(number: int) -> None:
    found = no_connection(HOST, as_the_sdk_has_it(number))
    assert str(found) == f"docker: no engine answers at {HOST}"
    assert "start Docker" in found.hint
    assert found.exit_code == 5
    assert "no engine answers at unix:///var/run/docker.sock" in str(no_connection(None, ValueError("nothing known")))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_an_engine_that_is_not_open_to_us(number: int, tmp_path: Path) -> None:
    found = no_connection(f"unix://{tmp_path}/docker.sock", as_the_sdk_has_it(number))
    assert isinstance(found, EngineError)
    assert str(found).startswith("docker: permission denied: ")
    assert "no engine answers" not in str(found)
    assert "sudo usermod -aG docker $USER" in found.hint
    assert "rootless" in found.hint


def test_the_error_may_be_a_cause() -> None:
    outer = ValueError("wrapped")
    outer.__cause__ = PermissionError(errno.EACCES, "Permission denied")
    assert "permission denied" in str(no_connection(HOST, outer))
    outer.__cause__.__context__ = outer  # a circle ends
    assert "permission denied" in str(no_connection(HOST, outer))


def test_a_full_disk_is_neither() -> None:
    found = no_connection(HOST, as_the_sdk_has_it(errno.ENOSPC))
    assert isinstance(found, DiskFullError)
    assert "no space left" in str(found)
