"""A real registry on loopback, to which tests push what a base's tag shall mean."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from built import docker
from loopback import LOOPBACK, free_port, server

NAME = "library/python"
TAG = "3.11-slim-bookworm"
USER, PASSWORD = "me", "open sesame"
HTPASSWD = f"{USER}:$2b$04$MIpZHuzjeIUpwkt0aVx6Tur4LKGMEdYf.2K2ZdJC6VV0COO9tqkJ6\n"
"""What `htpasswd -nbB` makes of them."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The registry at `address`, whose files are in `storage`."""

    address: str
    storage: Path

    @property
    def reference(self) -> str:
        return f"{self.address}/{NAME}:{TAG}"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def env(self) -> dict[str, str]:
        """Makes it the mirror of the registry that the locked base comes from."""
        return {"ENVGEN_REGISTRY_MIRROR": f"docker.io={self.address}"}

    def push(self, dockerfile: str, folder: Path) -> str:
        """Make the tag mean the image of a Dockerfile; gives its digest."""
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        command: list[str | Path] = ["buildx", "build", "--builder", "default", "--provenance=false"]
        command += ["--metadata-file", folder / "metadata.json", "--output", f"type=image,name={self.reference},push=true"]
        docker(*command, folder)
        docker("image", "rm", "--force", self.reference)
        return str(json.loads((folder / "metadata.json").read_text())["containerimage.digest"])

    def forget(self, digest: str) -> None:
        """Delete an image, and with it the tags that mean it."""
        request = urllib.request.Request(f"http://{self.address}/v2/{NAME}/manifests/{digest}", method="DELETE")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            assert answer.status == 202

    def untag(self) -> None:
        """Delete the tag alone, which this registry has no request for."""
        shutil.rmtree(self.storage / "docker" / "registry" / "v2" / "repositories" / NAME / "_manifests" / "tags" / TAG)

    def logged_in(self, folder: Path, password: str = PASSWORD) -> dict[str, str]:
        """A Docker configuration of its own that has this password for it."""
        folder.mkdir()
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.address: {"auth": auth}}}))
        return {"DOCKER_CONFIG": str(folder)}


@contextmanager
def registry_in(
    folder: Path, *, storage: Path | None = None, guarded: bool = False, upstream: str = "", port: int = 0
) -> Iterator[Registry]:
    """A registry that keeps its files in `storage` (default: in `folder`), on that port (0: any).

    `guarded`, it wants user and password; with an `upstream` it is a pull-through cache for the registry at that address.
    """
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: apt-get install docker-registry"
    found = Registry(address=f"{LOOPBACK}:{port or free_port()}", storage=storage or folder / "images")
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(found.storage)}, "delete": {"enabled": True}},
        "http": {"addr": found.address},
        "log": {"level": "warn"},
    }
    if guarded:
        (folder / "htpasswd").write_text(HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if upstream:
        settings["proxy"] = {"remoteurl": f"http://{upstream}"}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    # The page at / needs no password.
    with server([program, "serve", str(folder / "config.yml")], f"http://{found.address}/", folder / "log"):
        yield found
