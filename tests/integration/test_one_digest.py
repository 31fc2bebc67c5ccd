"""An image's digest is that which it has alone, whatever the builder has in its cache from others."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import pytest
from built import docker, inspect, remove_images
from tiny import ALPHA, BETA, GAMMA, Site, base_name, locked_base, write_profile

ORDERS = tuple(itertools.permutations(("one", "two", "three")))
LAYERS = {"one": {}, "two": {"first": GAMMA}, "three": {"first": GAMMA, "second": ALPHA}, "renamed": {"another": BETA}}
"""The groups of each profile besides that of beta, which is the last layer in all: another step of another stage in each.
`renamed` has that layer too, under another name."""

AGAIN = "history: the builder's cache has step names of another build: rebuilding without the cache"


@pytest.fixture(scope="module")
def bare_base() -> Iterator[str]:
    """A base without a history: BuildKit then writes one of its own for it, from what it has in its cache."""
    tag = f"envgen-test/without-history:{os.getpid()}"
    saved = subprocess.run(["docker", "save", base_name()], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        blobs = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]
    try:
        subprocess.run(["docker", "load", "--quiet"], input=without_history(blobs, tag), capture_output=True, check=True)
        assert not docker("history", "--quiet", tag).strip()
        yield tag
    finally:
        remove_images(tag)


def without_history(files: Mapping[str, bytes], tag: str) -> bytes:
    """An OCI archive of the first image in `files`, under another name and without its history."""
    manifest = named(files, json.loads(files["index.json"])["manifests"])
    while "manifests" in manifest:
        manifest = named(files, manifest["manifests"])
    config = json.loads(files[path_of(manifest["config"])])
    config.pop("history", None)
    new: dict[str, bytes] = {path_of(layer): files[path_of(layer)] for layer in manifest["layers"]}

    def add(content: Mapping[str, Any], kind: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(content).encode()
        found = {**kind, "digest": f"sha256:{sha256(data).hexdigest()}", "size": len(data)}
        new[path_of(found)] = data
        return found

    manifest["config"] = add(config, {"mediaType": manifest["config"]["mediaType"]})
    top = add(manifest, {"mediaType": manifest["mediaType"], "annotations": {"io.containerd.image.name": f"docker.io/{tag}"}})
    new["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    new["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in new.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def named(files: Mapping[str, bytes], descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    """The first manifest, or index, that is there: an engine saves one platform of several."""
    found: dict[str, Any] = json.loads(next(files[path_of(one)] for one in descriptors if path_of(one) in files))
    return found


def path_of(descriptor: Mapping[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


@pytest.fixture
def site(image: Site) -> Site:
    """A project with the profiles of LAYERS, locked."""
    for name, layers in LAYERS.items():
        path = write_profile(image.project, name, requirements=(BETA, *layers.values()), base=locked_base()[0], own_index=True)
        lines = [f'{group} = ["{package}"]' for group, package in layers.items()]
        path.write_text("\n".join([path.read_text(), "[layers]", *lines, ""]))
    image.envgen("lock", *LAYERS).must_pass()
    return image


def build(site: Site, profile: str, base: str, *arguments: str) -> tuple[str, str]:
    """The digest of the image that is built, which is removed, and what was said meanwhile."""
    tag = f"envgen-test/{profile}:{os.getpid()}"
    try:
        done = site.envgen("build", profile, "--no-smoke", "--tag", tag, "--base", base, *arguments).must_pass()
        return inspect(tag)["Id"], done.stdout + done.stderr
    finally:
        remove_images(tag)


def test_in_every_order_each_has_the_digest_it_has_alone(site: Site, bare_base: str) -> None:
    found: dict[str, set[str]] = {name: set() for name in ORDERS[0]}
    for first, *others in ORDERS:
        found[first].add(build(site, first, bare_base, "--no-cache")[0])
        for name in others:
            digest, said = build(site, name, bare_base)
            assert AGAIN not in said, "the words of other profiles are the same already"
            found[name].add(digest)
    assert {name: len(digests) for name, digests in found.items()} == dict.fromkeys(found, 1), found


def test_a_layer_that_has_another_name_elsewhere(site: Site, bare_base: str) -> None:
    alone, _ = build(site, "renamed", bare_base, "--no-cache")
    build(site, "one", bare_base, "--no-cache")
    digest, said = build(site, "renamed", bare_base)
    assert AGAIN in said
    assert digest == alone
