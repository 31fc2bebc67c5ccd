"""An image that was changed behind envgen's back: the static tier names every single file, though size and times are as before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from built import OneTier, docker, results

PACKAGES = "/opt/venv/lib/python3.11/site-packages"
SOURCE = (f"{PACKAGES}/tqdm/std.py", "mininterval=0.1", "mininterval=9.1")
BYTE_CODE = (f"{PACKAGES}/packaging/__pycache__/__init__.cpython-311.pyc", "Donald", "Ronald")
LIBRARY = (f"{PACKAGES}/safetensors/_safetensors_rust.abi3.so", "deserializing", "deserialising")
SCRIPT = ("/opt/venv/bin/tqdm", "tqdm.cli", "tqdm.cly")
PATH_FILE = f"{PACKAGES}/zz-added.pth"

Change = tuple[str, str, str]
Derive = Callable[..., str]

# Runs in the build of the changed image, as root; whoever wants to hide a change puts the times back.
CHANGE = """
import json, os, pathlib

job = json.loads(pathlib.Path("/change/job.json").read_text())
for path, old, new in job["changes"]:
    before = os.stat(path)
    content = pathlib.Path(path).read_bytes()
    assert old.encode() in content and len(old) == len(new), (path, old, new)
    pathlib.Path(path).write_bytes(content.replace(old.encode(), new.encode(), 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size and os.stat(path).st_mtime_ns == before.st_mtime_ns
for path in job["added"]:
    folder = os.path.dirname(path)
    before = os.stat(folder)
    pathlib.Path(path).write_text("import sys\\n")
    for changed in (path, folder):
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
"""
DOCKERFILE = """
FROM {image}
USER 0
RUN --network=none --mount=type=bind,target=/change python -I -S /change/change.py
USER 10001:10001
"""


@pytest.fixture
def derive(one_tier: OneTier, tmp_path: Path) -> Iterator[Derive]:
    """Makes an image with changed or added files from that of `only-static`; it is removed in the end."""
    tag = f"envgen-test/changed:{os.getpid()}"

    def make(*changes: Change, added: Sequence[str] = ()) -> str:
        (tmp_path / "change.py").write_text(CHANGE)
        (tmp_path / "job.json").write_text(json.dumps({"changes": changes, "added": added}))
        (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(image=one_tier.images["static"]))
        docker("buildx", "build", "--provenance=false", "--output", f"type=image,name={tag}", tmp_path)
        return tag

    yield make
    docker("image", "rm", "--force", tag)


def failed_checks(one_tier: OneTier, image: str) -> dict[str, str]:
    """What each failed check of the static tier says of an image, in which some must fail and the rest must pass."""
    done = one_tier.smoke("static", "--json", image=image)
    assert done.code == 7, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)["smoke"]
    found = results(report)
    assert {result["status"] for result in found.values()} == {"passed", "failed"}
    failed = {name: str(result["detail"]) for name, result in found.items() if result["status"] == "failed"}
    assert f"FAILED: {len(failed)}" in report["headline"]
    return failed


def byte_code_of(source: str) -> str:
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc"


def test_a_changed_source_is_found(one_tier: OneTier, derive: Derive) -> None:
    failed = failed_checks(one_tier, derive(SOURCE))
    assert set(failed) == {"files", "byte-code"}
    assert failed["files"].startswith(f"1 finding: {SOURCE[0]}: sha256 ")
    assert failed["byte-code"].startswith(f"1 finding: {byte_code_of(SOURCE[0])}: compiled from another source")


def test_changed_byte_code_is_found(one_tier: OneTier, derive: Derive) -> None:
    failed = failed_checks(one_tier, derive(BYTE_CODE))
    assert set(failed) == {"byte-code"}
    assert failed["byte-code"] == f"1 finding: {BYTE_CODE[0]}: not what this Python compiles from its source"


def test_a_changed_shared_library_is_found(one_tier: OneTier, derive: Derive) -> None:
    failed = failed_checks(one_tier, derive(LIBRARY))
    assert set(failed) == {"files"}
    assert failed["files"].startswith(f"1 finding: {LIBRARY[0]}: sha256 ")


def test_each_of_many_changes_is_found(one_tier: OneTier, derive: Derive) -> None:
    version = docker("run", "--rm", one_tier.images["static"], "python", "-c", "import tqdm; print(tqdm.__version__)").strip()
    record = (f"{PACKAGES}/tqdm-{version}.dist-info/RECORD", "sha256=", "sha257=")
    failed = failed_checks(one_tier, derive(SOURCE, BYTE_CODE, LIBRARY, SCRIPT, record, added=[PATH_FILE]))
    assert set(failed) == {"files", "byte-code", "foreign-files"}
    assert failed["files"].startswith("4 findings: ")
    for path in (SOURCE[0], LIBRARY[0], SCRIPT[0], record[0]):
        assert f"{path}: sha256 " in failed["files"]
    assert failed["byte-code"].startswith("2 findings: ")
    for path in (BYTE_CODE[0], byte_code_of(SOURCE[0])):
        assert f"{path}: " in failed["byte-code"]
    assert failed["foreign-files"] == f"1 finding: {PATH_FILE.removeprefix('/opt/venv/')}: a file that is in no wheel"


def test_an_image_of_another_lock_is_not_taken_for_this_one(one_tier: OneTier) -> None:
    done = one_tier.smoke("static", image=one_tier.images["cpu"])
    done.must_fail(7, one_tier.images["cpu"], "found an image built from lock sha256:", "envgen build only-static")
