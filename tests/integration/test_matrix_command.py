"""The matrix in real git repositories, and what docker buildx bake makes of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import Base, inspect, remove_images
from command import envgen
from tiny import GAMMA, Site, base_arguments, locked_base, write_profile

Built = dict[str, Any]


def git(project: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=project, check=True, capture_output=True)


def bake(project: Path, file: str, *arguments: str) -> dict[str, str]:
    """Bakes it; the digest of each image by target."""
    (project / "docker-bake.json").write_text(file)
    metadata = project / "metadata.json"
    command = ["docker", "buildx", "bake", "--progress=plain", "--metadata-file", str(metadata), "--file", "docker-bake.json", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: found["containerimage.digest"] for name, found in json.loads(metadata.read_text()).items() if isinstance(found, dict)}


@pytest.fixture
def two(image: Site) -> Iterator[Site]:
    """A project with two profiles that have a layer in common, and tags of their own that are removed afterwards."""
    write_profile(image.project, "second", requirements=[GAMMA], base=locked_base()[0], own_index=True)
    image.envgen("lock").must_pass()
    yield image
    remove_images("envgen/tiny:py311-linux-amd64", "envgen/second:py311-linux-amd64")


def digests(site: Site, *profiles: str) -> dict[str, str]:
    """What envgen builds, by the name that bake has for it."""
    found = {}
    for profile in profiles:
        done = site.envgen("build", profile, "--no-smoke", "--json", *base_arguments()).must_pass()
        found[f"{profile}-py311-linux-amd64"] = json.loads(done.stdout)["image"]["digest"]
    return found


def test_bake_builds_what_envgen_builds(two: Site, base: Base) -> None:
    file = two.envgen("matrix", "second", "tiny", "--format", "bake", "--wheels", "out/wheels", *base.arguments).must_pass().stdout
    baked = bake(two.project, file)
    assert inspect("envgen/tiny:py311-linux-amd64")["Id"] == baked["tiny-py311-linux-amd64"]
    assert baked == digests(two, "second", "tiny")
    # Both have the same installer: one folder.
    assert sorted(path.name.rpartition("-")[0] for path in (two.project / "out" / "wheels").iterdir()) == [
        "installer",
        "libraries",
        "libraries",
    ]


def test_bake_without_wheels_at_hand_fetches_them_by_hash(tmp_path: Path, cache: Path, base: Base) -> None:
    """From the real default index: this version of bake can't give a build the host's network, where a loopback one would be."""
    site = Site(project=tmp_path, env={"ENVGEN_CACHE": str(cache)})
    write_profile(tmp_path, "fetched", requirements=["packaging"], base=locked_base()[0])
    site.envgen("lock", "fetched").must_pass()
    words = ["--no-cache"]
    if (certificates := Path("/etc/ssl/certs/ca-certificates.crt")).is_file():
        words += ["--set", f"*.secrets=id=ca,src={certificates}"]
    try:
        file = site.envgen("matrix", "fetched", "--format", "bake", *base.arguments).must_pass().stdout
        assert json.loads(file)["target"]["fetched-py311-linux-amd64"]["contexts"] == {}
        baked = bake(tmp_path, file, *words)
        assert baked == digests(site, "fetched")
    finally:
        remove_images("envgen/fetched:py311-linux-amd64")


def test_what_a_change_affects(two: Site) -> None:
    def affected(revision: str = "HEAD") -> list[str]:
        done = two.envgen("matrix", "second", "tiny", "--format", "github", "--images", "--changed-since", revision).must_pass()
        return [cell["profile"] for cell in json.loads(done.stdout)["include"]]

    two.envgen("matrix", "--changed-since", "HEAD").must_fail(2, "not in a git repository")
    git(two.project, "init", "--quiet")
    git(two.project, "add", "--all")
    git(two.project, "commit", "--quiet", "--message", "first")
    assert affected() == []
    (two.project / "README.md").write_text("words\n")
    assert affected() == []
    lock = two.project / "locks" / "tiny" / "py311-linux-amd64" / "requirements.txt"
    lock.write_bytes(lock.read_bytes() + b"\n")
    assert affected() == ["tiny"]
    (two.project / "templates").mkdir()
    (two.project / "templates" / "Dockerfile.j2").write_text("FROM scratch\n")
    assert affected() == ["second", "tiny"]
    for revision in ("nothing", "--output=/tmp/x", "HEAD; true"):
        two.envgen("matrix", f"--changed-since={revision}").must_fail(2, revision, "git revision")


def test_the_three_profiles_through_bake(cpu_base: Built, cuda: Built, bnb_quant: Built, cache: Path, base: Base, tmp_path: Path) -> None:
    env = {"ENVGEN_CACHE": str(cache)}
    profiles = ("cpu-base", "cuda", "bnb-quant")
    command = ("matrix", *profiles, "--format", "bake", "--images", "--wheels", "wheels", *base.arguments)
    file = json.loads(envgen(*command, cwd=tmp_path, env=env, timeout=600).must_pass().stdout)
    built = {"cpu-base": cpu_base, "cuda": cuda, "bnb-quant": bnb_quant}
    wanted = {f"{profile}-py311-linux-amd64": found["image"]["digest"] for profile, found in built.items()}
    tags = {name: f"envgen-test/bake-{name}:{os.getpid()}" for name in wanted}
    for name, tag in tags.items():
        target = file["target"][name]
        target["output"] = [target["output"][0].replace(f"name={target['tags'][0]},", f"name={tag},")]
        target["tags"] = [tag]
    try:
        baked = bake(tmp_path, json.dumps(file), *wanted)
        assert baked == wanted
    finally:
        remove_images(*tags.values())
