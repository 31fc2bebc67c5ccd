"""Tampering with what runs: a byte of a file in an image, and a byte of a base under the digest that it was pinned by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from built import docker, results
from figures import campaign

TAG = "envgen-tests/tampered"

# Runs in the build of the changed image, as root; times and sizes stay as they were.
CHANGE = """
import json, os, pathlib

job = json.loads(pathlib.Path("/change/job.json").read_text())
before = os.stat(job["path"])
content = bytearray(pathlib.Path(job["path"]).read_bytes())
content[int(job["place"] * len(content))] ^= job["mask"]
pathlib.Path(job["path"]).write_bytes(content)
os.utime(job["path"], ns=(before.st_atime_ns, before.st_mtime_ns))
"""
DOCKERFILE = """
FROM {image}
USER 0
RUN --network=none --mount=type=bind,target=/change /usr/bin/env python3.11 -I -S /change/change.py
USER 10001:10001
"""


@pytest.fixture(scope="module")
def built(image_site: tiny.Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiny.Site]:
    """A project with its image."""
    site = image_site.copy(tmp_path_factory.mktemp("built"))
    site.envgen("build", "tiny", "--no-smoke", "--tag", f"{TAG}:0", *tiny.base_arguments()).must_pass()
    yield site
    # All at once: while an image is taken away, a build on the same base may miss a part of it.
    docker("image", "rm", "--force", *docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", TAG).split())


def files_in_image() -> list[str]:
    """The files with something in them that wheels and the recipe brought."""
    found = docker("run", "--rm", "--network=none", f"{TAG}:0", "find", "/opt/venv", "-type", "f", "-size", "+0")
    return sorted(found.split())


def test_a_byte_of_a_file_in_the_image(built: tiny.Site, tmp_path: Path) -> None:
    files = files_in_image()
    (tmp_path / "change.py").write_text(CHANGE)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(image=f"{TAG}:0"))
    with campaign("tampering: files in the image", sample=3, full=25) as running:
        for number in range(1, running.cases + 1):
            path, place, mask = running.random.choice(files), running.random.random(), 1 << running.random.randrange(8)
            (tmp_path / "job.json").write_text(json.dumps({"path": path, "place": place, "mask": mask}))
            docker("buildx", "build", "--provenance=false", "--output", f"type=image,name={TAG}:{number}", tmp_path)
            if is_found(built, f"{TAG}:{number}", path):
                running.detected()
            else:
                running.failed(f"{path}: byte {place} of it ^ {mask:#04x}")


def is_found(site: tiny.Site, image: str, path: str) -> bool:
    """Whether the static tier names the changed file, or the byte code that is not that of its source any more."""
    done = site.envgen("smoke", "tiny", "--json", "--image", image)
    if done.code != 7:
        return False
    report = json.loads(done.stdout)["smoke"]
    details = " ".join(result["detail"] for result in results(report).values() if result["status"] == "failed")
    return path.rpartition("/")[2].partition(".")[0] in details
