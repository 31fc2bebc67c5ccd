"""Tampering with what runs: a byte of a file in an image, and a byte of a base under the digest that it was pinned by."""

from __future__ import annotations

import io
import json
import marshal
import os
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import tiny
from built import docker
from changes import one_byte
from figures import campaign
from registry import NAME, Registry, registry_in
from registry import TAG as TAG_OF_BASE

from envgen.lock.model import digest_of

TAG = f"envgen-tests/tampered-{os.getpid()}"

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
            elif path.endswith(".pyc") and code_in(f"{TAG}:{number}", path) == code_in(f"{TAG}:0", path):
                # Byte code says of each of its parts whether others refer to it; some that none does may say either.
                running.harmless()
            else:
                running.failed(f"{path}: byte {place} of it ^ {mask:#04x}")


def code_in(image: str, path: str) -> tuple[bytes, object]:
    """The header of a file of byte code, and the code in it."""
    program = f"print(open({path!r}, 'rb').read().hex())"
    content = bytes.fromhex(docker("run", "--rm", "--network=none", image, "python", "-c", program))
    return content[:16], marshal.loads(content[16:])


def is_found(site: tiny.Site, image: str, path: str) -> bool:
    """Whether the audit names the changed file, and the static tier fails; with some of them no Python starts that could name one."""
    audited = site.envgen("audit", "tiny", "--image", image)
    done = site.envgen("smoke", "tiny", "--image", image)
    return (audited.code, done.code) == (8, 7) and path.removeprefix("/") in audited.stdout


def unseen_base(registry: Registry, folder: Path) -> str:
    """The digest of an image in the registry that the engine has never had: that of the tag, with a layer more."""
    registry.push(f"FROM {tiny.base_arguments()[-1]}\n", folder)
    manifest = json.loads(ask(registry, f"manifests/{TAG_OF_BASE}"))
    config = json.loads(ask(registry, f"blobs/{manifest['config']['digest']}"))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        content = os.urandom(20_000)
        member = tarfile.TarInfo("unseen")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    config["rootfs"]["diff_ids"].append(digest_of(layer.getvalue()))
    described = upload(registry, layer.getvalue())
    manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar", **described})
    manifest["config"].update(upload(registry, json.dumps(config).encode()))
    written = json.dumps(manifest).encode()
    ask(registry, f"manifests/{TAG_OF_BASE}", "PUT", written, manifest["mediaType"])
    return digest_of(written)


def upload(registry: Registry, content: bytes) -> dict[str, object]:
    """Puts a blob into the registry; its digest and size."""
    digest = digest_of(content)
    with opened(registry, "blobs/uploads/", "POST", b"") as answer:
        place = answer.headers["Location"]
    ask(registry, f"{place}&digest={quote(digest)}", "PUT", content, "application/octet-stream")
    return {"digest": digest, "size": len(content)}


def opened(registry: Registry, path: str, method: str, content: bytes | None, kind: str = "application/octet-stream") -> Any:
    url = path if path.startswith("http") else f"http://{registry.address}/v2/{NAME}/{path}"
    headers = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"}
    request = urllib.request.Request(url, content, headers if content is None else {**headers, "Content-Type": kind}, method=method)
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)


def ask(registry: Registry, path: str, method: str = "GET", content: bytes | None = None, kind: str = "") -> bytes:
    with opened(registry, path, method, content, kind) as answer:
        found: bytes = answer.read()
    return found


def test_a_byte_of_a_base_under_its_digest(image_site: tiny.Site, tmp_path: Path) -> None:
    """A registry, or a mirror of one, hands out something else: the build ends, and nothing is made of it."""
    base = tiny.base_arguments()[-1]
    full = docker("run", "--rm", "--network=none", base, "python3.11", "-c", "import platform; print(platform.python_version())").strip()
    site = image_site.copy(tmp_path)
    with registry_in(tmp_path) as registry, campaign("tampering: base behind its digest", sample=2, full=12) as running:
        # Each case has a base of its own: an engine keeps what came under a wrong digest, and takes it for the beginning of the right one.
        for number in range(running.cases):
            blobs = locked_on_unseen_base(site, registry, tmp_path / f"base{number}", full)
            digest = running.random.choice(blobs)
            path = registry.storage / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
            before = path.read_bytes()
            changed = one_byte(before, running.random)
            path.write_bytes(changed.content)
            done = site.envgen("build", "tiny", "--no-smoke", "--tag", f"{TAG}:base", **registry.env)
            path.write_bytes(before)
            if done.code == 6 and "error: " in done.stderr and "Traceback" not in done.stderr:
                running.detected()
            else:
                running.failed(f"blob {blobs.index(digest)}: {changed.words}: {done}")
        # With nothing wrong it is taken.
        locked_on_unseen_base(site, registry, tmp_path / "base", full)
        try:
            site.envgen("build", "tiny", "--no-smoke", "--tag", f"{TAG}:base", **registry.env).must_pass()
        finally:
            docker("image", "rm", "--force", f"{TAG}:base")


def locked_on_unseen_base(site: tiny.Site, registry: Registry, folder: Path, full: str) -> tuple[str, str, str]:
    """Locks the profile on a base of its own; the digests of that one's manifest, configuration and last layer."""
    digest = unseen_base(registry, folder)
    tiny.write_profile(site.project, base=f"python:{TAG_OF_BASE}@{digest}", full=full, own_index=True)
    site.envgen("lock", "tiny").must_pass()
    manifest = json.loads(ask(registry, f"manifests/{digest}"))
    return digest, manifest["config"]["digest"], manifest["layers"][-1]["digest"]
