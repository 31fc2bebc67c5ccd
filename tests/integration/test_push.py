"""`envgen build --push` to a real registry, whose own log says what was sent."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import TARGET, Base, inspect
from command import Done, envgen
from registry import Registry, registry_in
from tiny import Site, base_arguments, locked_base, write_profile

INDEX = "application/vnd.oci.image.index.v1+json"
SENT = re.compile(r'"PUT /v2/(\S+?)/blobs/uploads/\S*?digest=sha256%3A([0-9a-f]{64})')


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_in(tmp_path_factory.mktemp("pushed")) as found:
        yield found
    shutil.rmtree(found.storage)  # gigabytes, and pytest keeps its folders


def sent(registry: Registry) -> set[str]:
    """The digests of all blobs that were sent to it, by its log."""
    text = (registry.storage.parent / "log").read_text()
    return {f"sha256:{digest}" for _, digest in SENT.findall(text)}


def ask(registry: Registry, path: str) -> tuple[str, Any]:
    """The digest and content of a manifest, or of the list of tags."""
    request = urllib.request.Request(f"http://{registry.address}/v2/{path}")
    request.add_header("Accept", f"{INDEX}, application/vnd.oci.image.manifest.v1+json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return str(answer.headers.get("Docker-Content-Digest", "")), json.load(answer)


def build(site: Site, tag: str, repository: str, *arguments: str, **env: str) -> Done:
    return site.envgen("build", "tiny", "--tag", tag, "--push", repository, *base_arguments(), *arguments, **env)


def test_a_tested_image_is_pushed_under_its_tags(image: Site, tag: str, registry: Registry) -> None:
    repository = f"{registry.address}/team/images"
    found = json.loads(build(image, tag, repository, "--json").must_pass().stdout)
    digest, lock = found["image"]["digest"], found["image"]["labels"]["envgen.lock"]
    names = [f"tiny-{TARGET}-{lock.removeprefix('sha256:')[:12]}", f"tiny-{TARGET}"]
    assert [pushed["reference"] for pushed in found["published"]["tags"]] == [f"{repository}:{name}" for name in names]
    assert set(ask(registry, "team/images/tags/list")[1]["tags"]) == {*names, "tiny-py311"}
    for name in names:
        assert ask(registry, f"team/images/manifests/{name}")[0] == digest
    _, index = ask(registry, "team/images/manifests/tiny-py311")
    assert index["mediaType"] == INDEX
    assert [entry["digest"] for entry in index["manifests"]] == [digest]
    assert (found["published"]["platforms"], found["published"]["absent"]) == (["linux/amd64"], [])
    assert not [name for name in inspect(tag)["RepoTags"] if registry.address in name], "a name stayed in the engine's store"

    before = sent(registry)
    again = build(image, tag, repository).must_pass()
    assert "no layers sent" in again.stdout
    assert sent(registry) == before


def test_another_platform_is_said_to_be_missing(image: Site, tag: str, registry: Registry) -> None:
    path = write_profile(image.project, base=locked_base()[0], own_index=True)
    path.write_text(path.read_text().replace('platforms = ["linux/amd64"]', 'platforms = ["linux/amd64", "linux/arm64"]'))
    image.envgen("lock", "tiny").must_pass()
    done = build(image, tag, f"{registry.address}/team/two").must_pass()
    assert "linux/amd64; NOT included, no image of their current lock there: py311-linux-arm64" in done.stdout


def test_what_failed_its_test_is_not_pushed(image: Site, tag: str, registry: Registry) -> None:
    path = write_profile(image.project, base=locked_base()[0], own_index=True)
    path.write_text(path.read_text().replace('tiers = ["static"]', 'tiers = ["static", "cpu"]'))  # there is no torch in it
    image.envgen("lock", "tiny").must_pass()
    done = build(image, tag, f"{registry.address}/team/failed")
    assert done.code == 7
    assert "not pushed: the smoke test failed" in done.stderr
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(registry, "team/failed/tags/list")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--push", "team"), "expected a repository without a tag"),
        (("--push", "registry.example/team:tag"), "expected a repository without a tag"),
        (("--push", "registry.example/team", "--no-smoke"), "untested images are not pushed"),
        (("--push", "registry.example/team", "--offline"), "pushing requires a network"),
    ],
)
def test_what_can_not_be_pushed_is_refused_before_anything_is_built(image: Site, arguments: tuple[str, ...], words: str) -> None:
    if "--offline" in arguments:
        image.envgen("fetch", "tiny", "--no-base").must_pass()
    image.envgen("build", "tiny", *arguments).must_fail(2, words)


def test_a_registry_that_wants_a_password(image: Site, tag: str, tmp_path: Path) -> None:
    (tmp_path / "guarded").mkdir()
    with registry_in(tmp_path / "guarded", guarded=True) as guarded:
        repository = f"{guarded.address}/team/images"
        build(image, tag, repository).must_fail(5, "can't be pushed", f"docker login {guarded.address}")
        build(image, tag, repository, **guarded.logged_in(tmp_path / "docker")).must_pass()


def test_bnb_quant_after_cuda_sends_what_differs(
    cuda: dict[str, Any], bnb_quant: dict[str, Any], cache: Path, base: Base, registry: Registry, tmp_path: Path
) -> None:
    """All layers are in the builder's cache; a smoke test of the static tier alone would not be one of these profiles."""
    repository = f"{registry.address}/team/gpu"
    for built in (cuda, bnb_quant):
        before = sent(registry)
        profile = built["image"]["labels"]["envgen.profile"]
        command = ("build", profile, *base.arguments, "--tag", built["image"]["name"], "--push", repository, "--json")
        done = envgen(*command, cwd=tmp_path, env={"ENVGEN_CACHE": str(cache)}, timeout=1800).must_pass()
        new = sent(registry) - before
        pushed = json.loads(done.stdout)
        assert pushed["image"]["digest"] == built["image"]["digest"]
        _, manifest = ask(registry, f"team/gpu/manifests/{profile}-{TARGET}")
        blobs = {layer["digest"] for layer in manifest["layers"]} | {manifest["config"]["digest"]}
        assert new <= blobs
        if profile == "bnb-quant":
            own = next(layer for layer in bnb_quant["layers"] if layer["name"] == "own")
            assert new == {own["digest"], manifest["config"]["digest"]}
