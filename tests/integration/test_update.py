"""`envgen update` moves what it is told to move and nothing else; bases come from a real registry through a mirror."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from built import docker, inspect
from loopback import LOOPBACK, free_port, server
from tiny import ALPHA, BETA, GAMMA, Site, base_name, locked_base

NAME = "library/python"
TAG = "3.11-slim-bookworm"
PINNED = re.compile(rf"python:{TAG}@sha256:[0-9a-f]{{64}}")


def profile_of(site: Site) -> Path:
    return site.project / "profiles" / "tiny.toml"


def versions(site: Site) -> dict[str, str]:
    lock = next(content for name, content in site.locks().items() if name.endswith("envgen.lock"))
    return {package["name"]: package["version"] for package in tomllib.loads(lock.decode())["package"]}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_the_date_moves_and_nothing_else(locked: Site, newline: bytes) -> None:
    path = profile_of(locked)
    before = path.read_bytes().replace(b"\n", newline)
    path.write_bytes(before)
    path.chmod(0o640)
    locked.envgen("update", "tiny", "--as-of", "2026-10-15").must_pass()
    assert path.read_bytes() == before.replace(b"2026-09-22", b"2026-10-15")
    assert path.stat().st_mode & 0o777 == 0o640
    assert versions(locked) == {ALPHA: "1.0", BETA: "2.0", GAMMA: "1.0"}
    locked.envgen("lock", "--check", "tiny").must_pass()


def test_a_move_that_can_not_be_locked_is_taken_back(locked: Site) -> None:
    profile, locks = profile_of(locked).read_bytes(), locked.locks()
    closed = f"http://{LOOPBACK}:{free_port()}/simple"
    locked.envgen("update", "tiny", "--as-of", "2026-10-15", ENVGEN_INDEX_DEFAULT=closed).must_fail(3, "hint:  check the network")
    assert profile_of(locked).read_bytes() == profile
    assert locked.locks() == locks


def test_without_a_lock_only_the_profile_is_edited(locked: Site) -> None:
    before = locked.locks()
    locked.envgen("update", "tiny", "--as-of", "2026-10-15", "--no-lock").must_pass()
    assert b"2026-10-15" in profile_of(locked).read_bytes()
    assert locked.locks() == before
    locked.envgen("lock", "--check", "tiny").must_fail(4, "as_of: the lock has 2026-09-22, the profile 2026-10-15")


def test_one_package_moves_on_a_date_of_its_own(locked: Site) -> None:
    path = profile_of(locked)
    before = path.read_text()
    locked.envgen("update", "tiny", "--package", "Envgen_Tiny.Beta", "--as-of", "2026-10-15").must_pass()
    after = path.read_text()
    assert after.startswith(before.rstrip("\n"))
    assert tomllib.loads(after) == tomllib.loads(before) | {"package": {BETA: {"as_of": dt.date(2026, 10, 15)}}}
    assert versions(locked) == {ALPHA: "1.0", BETA: "2.0", GAMMA: "1.0"}

    # The second time there is an entry to move.
    locked.envgen("update", "tiny", "--package", BETA, "--as-of", "2026-09-25").must_pass()
    assert path.read_text() == after.replace("2026-10-15", "2026-09-25")
    assert versions(locked)[BETA] == "1.0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tiny", "--as-of", "2999-01-01"), ("--as-of", "2999-01-01", "has not begun in UTC")),
        (("tiny", "--as-of", "22.9.2026"), ("--as-of", "'22.9.2026'", "expected a date")),
        (("tiny", "--as-of", "2026-02-30"), ("--as-of", "'2026-02-30'", "expected a date")),
        (("tiny",), ("nothing to move", "--as-of DATE")),
        (("tiny", "--package", "envgen-tiny-beta"), ("--package", "needs a date")),
        (("cpu-base", "--as-of", "2026-10-15"), ("cpu-base", "comes with envgen", 'extends = "cpu-base"')),
        (("tinny", "--as-of", "2026-10-15"), ("tinny", "tiny")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_changes_nothing(locked: Site, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    profile, locks = profile_of(locked).read_bytes(), locked.locks()
    locked.envgen("update", *arguments).must_fail(2, *words)
    assert profile_of(locked).read_bytes() == profile
    assert locked.locks() == locks
    assert [path.name for path in profile_of(locked).parent.iterdir()] == ["tiny.toml"]


class Registry:
    """A real registry on loopback, to which tests push what a base's tag shall mean."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.reference = f"{address}/{NAME}:{TAG}"
        self.env = {"ENVGEN_REGISTRY_MIRROR": f"docker.io={address}"}

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


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: apt-get install docker-registry"
    folder = tmp_path_factory.mktemp("registry")
    address = f"{LOOPBACK}:{free_port()}"
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}}
    settings = {"version": 0.1, "storage": storage, "http": {"addr": address}, "log": {"level": "warn"}}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with server([program, "serve", str(folder / "config.yml")], f"http://{address}/v2/", folder / "log"):
        yield Registry(address)


def test_a_base_moves_to_the_digest_that_its_tag_has_today(image: Site, registry: Registry, tmp_path: Path) -> None:
    path = profile_of(image)
    before = path.read_text()
    old_base, old_full = locked_base()

    first = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.17\n", tmp_path / "first")
    done = image.envgen("update", "tiny", "--base", **registry.env).must_pass()
    moved = before.replace(old_base, f"python:{TAG}@{first}").replace(old_full, "3.11.17")
    assert path.read_text() == moved
    assert f"python:{TAG}@{first}" in done.stderr
    assert registry.address not in path.read_text() + str(image.locks())
    assert all(first.encode() in content for name, content in image.locks().items() if not name.endswith(".txt"))
    image.envgen("lock", "--check", "tiny").must_pass()

    second = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.18\n", tmp_path / "second")
    assert second != first
    image.envgen("update", "tiny", "--base", "--no-lock", **registry.env).must_pass()
    assert path.read_text() == moved.replace(first, second).replace("3.11.17", "3.11.18")

    third = registry.push("FROM scratch\nLABEL python=unknown\n", tmp_path / "third")
    done = image.envgen("update", "tiny", "--base", "--no-lock", **registry.env).must_pass()
    assert path.read_text() == moved.replace(first, third).replace("3.11.17", "3.11.18")
    assert "it does not say which Python it has" in done.stderr


def test_a_tag_that_was_deleted_is_said_plainly(image: Site, registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("FROM scratch\nLABEL will=go\n", tmp_path / "image")
    registry.forget(digest)
    profile, locks = profile_of(image).read_bytes(), image.locks()
    done = image.envgen("update", "tiny", "--base", **registry.env)
    done.must_fail(5, registry.reference, "not found", "hint:  is the tag still there?")
    assert profile_of(image).read_bytes() == profile
    assert image.locks() == locks


def test_a_registry_that_does_not_answer(image: Site) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    profile = profile_of(image).read_bytes()
    done = image.envgen("update", "tiny", "--base", ENVGEN_REGISTRY_MIRROR=f"docker.io={address}")
    done.must_fail(5, address, "hint:  ")
    assert profile_of(image).read_bytes() == profile


def test_a_build_on_a_base_through_the_mirror_names_the_origin(image: Site, registry: Registry, tag: str, tmp_path: Path) -> None:
    program = ("python3.11", "-c", "import platform; print(platform.python_version())")
    python = docker("run", "--rm", "--network=none", base_name(), *program).strip()
    digest = registry.push(f"FROM {base_name()}\nENV PYTHON_VERSION={python}\n", tmp_path / "base")
    image.envgen("update", "tiny", "--base", **registry.env).must_pass()
    registry.push("FROM scratch\nLABEL the-tag=moves-on\n", tmp_path / "later")

    done = image.envgen("build", "tiny", "--no-smoke", "--json", "--tag", tag, **registry.env).must_pass()
    labels = inspect(tag)["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == f"python:{TAG}@{digest}"
    assert PINNED.fullmatch(labels["org.opencontainers.image.base.name"])
    assert labels["envgen.python"] == python
    assert "envgen.base.override" not in labels
    assert registry.address not in json.dumps(labels)
    assert json.loads(done.stdout)["image"]["digest"] == inspect(tag)["Id"]
