"""envgen.lock.resolvers.uv: how long uv may take over it, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from samples import LINUX, Server, client_for, profile_of

from envgen.core.errors import DiskFullError, EnvgenError, IndexUnavailableError, ResolutionError
from envgen.core.process import Completed
from envgen.core.settings import read_settings
from envgen.lock.make import query_for
from envgen.lock.resolvers.uv import UvResolver
from envgen.sources import Packages, WheelStore

Run = Callable[..., Completed]


def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run, patience: str = "") -> None:
    """Resolves the small profile with `run` in place of the program."""
    monkeypatch.setattr("envgen.lock.resolvers.uv.run", run)
    environ = {"ENVGEN_CACHE": str(tmp_path), "ENVGEN_PATIENCE": patience}
    client = client_for(Server(), tmp_path, environ, **{"pytorch-cpu": "https://me:secret@torch.example/whl/cpu"})
    UvResolver(read_settings(environ, tmp_path), Packages(client, WheelStore(tmp_path))).resolve(query_for(profile_of(), (), LINUX))


def fails(stderr: str) -> Run:
    return lambda *_command, **_options: Completed(code=1, stdout="", stderr=stderr)


@pytest.mark.parametrize(("patience", "timeout", "limit"), [("", "60", 600), ("2", "2", 20), ("0.5", "1", 5)])
def test_uv_is_as_patient_as_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: str, timeout: str, limit: float) -> None:
    seen: dict[str, object] = {}

    def run(_command: object, **options: object) -> Completed[str]:
        seen.update(options)
        return Completed(code=0, stdout="demo==1.5\ntorch==2.13.0\n", stderr="")

    resolve(tmp_path, monkeypatch, run, patience)
    assert isinstance(seen["env"], dict)
    assert seen["env"]["UV_HTTP_TIMEOUT"] == timeout
    assert seen["env"]["UV_HTTP_RETRIES"] == "3"
    assert seen["limit"] == limit


def test_a_resolution_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_command: object, **_options: object) -> Completed[str]:
        raise TimeoutError("timed out after 600 s")

    with pytest.raises(IndexUnavailableError, match=r"no resolution after 600 s: .*\(index.example, torch.example\)") as caught:
        resolve(tmp_path, monkeypatch, run)
    assert caught.value.hint == "try again later, or be more patient, as in ENVGEN_PATIENCE=300"


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("Permission denied (os error 13)", "set ENVGEN_CACHE to a folder you may write"),
        ("Read-only file system (os error 30)", "set ENVGEN_CACHE to a folder you may write"),
        ("No space left on device (os error 28)", "make room there, or set ENVGEN_CACHE to a folder on another disk"),
    ],
)
def test_a_cache_that_can_not_be_written_has_the_cure_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, cure: str
) -> None:
    with pytest.raises(DiskFullError) as caught:
        resolve(tmp_path, monkeypatch, fails(f"error: Failed to initialize cache at `x`\n  cause: {reason}\n"))
    assert caught.value.hint == cure


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        ("error: failed to write to file `x`: No space left on device (os error 28)\n", DiskFullError, "uv's cache can't be written"),
        (
            "error: Failed to initialize cache at `x`\n  cause: Read-only file system (os error 30)\n",
            DiskFullError,
            "Read-only file system",
        ),
        ("error: Failed to fetch: x\n  cause: operation timed out\n", IndexUnavailableError, "operation timed out"),
        ("  × No solution found\n", ResolutionError, "No solution found"),
    ],
)
def test_each_failure_has_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, kind: type[EnvgenError], words: str
) -> None:
    with pytest.raises(EnvgenError, match=words) as caught:
        resolve(tmp_path, monkeypatch, fails(stderr))
    assert type(caught.value) is kind
    assert caught.value.hint


HINTS = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because you require appone, we can conclude that your requirements are unsatisfiable.

      hint: `appone` was filtered by `exclude-newer` to only include packages
            uploaded before 2026-09-22. Consider using `exclude-newer-package`

      hint: You require CPython 3.11 (`cp311`), but we only found wheels for `demo` with the ABI tag `cp312`
      hint: Wheels are required for `x` because building from source is disabled for all packages (i.e., with `--no-build`)
"""
EARLY = """\
  hint: Pre-releases are available for `appone` in the requested range (e.g., 2.0rc1),
        but pre-releases weren't enabled (try: `--prerelease=allow`)
"""


def test_no_hint_names_what_envgen_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResolutionError) as caught:
        resolve(tmp_path, monkeypatch, fails(HINTS))
    assert caught.value.problem.splitlines() == [
        "No solution found when resolving dependencies:",
        "Because the profile requires appone, we can conclude that its requirements are unsatisfiable.",
        "      hint: You require CPython 3.11 (`cp311`), but we only found wheels for `demo` with the ABI tag `cp312`",
    ]
    with pytest.raises(ResolutionError) as caught:
        resolve(tmp_path, monkeypatch, fails(f"  × No solution found\n{EARLY}"))
    assert (caught.value.problem, caught.value.hint) == (
        "No solution found",
        "appone has pre-releases: to use one name it, as in appone==2.0rc1",
    )


def test_a_documented_bound_is_not_called_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Because envgen-query depends on hub>=1.2.1,<2.0 and envgen-query depends on demo>=1, it fails.\n"
    monkeypatch.setattr("envgen.lock.resolvers.uv.run", fails(text))
    query = replace(query_for(profile_of(), (), LINUX), constraints=("hub>=1.2.1,<2.0", "demo>=1"))
    client = client_for(Server(), tmp_path)
    with pytest.raises(ResolutionError) as caught:
        UvResolver(read_settings({}, tmp_path), Packages(client, WheelStore(tmp_path))).resolve(query)
    assert caught.value.problem == "Because the documented bound is hub>=1.2.1,<2.0 and the profile depends on demo>=1, it fails."
