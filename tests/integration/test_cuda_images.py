"""cuda and bnb-quant, built by the real engine: what layers they share, what a bump changes, and what is refused beforehand."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import TARGET, Base, docker, inspect, remove_images
from command import envgen
from tiny import Site, base_arguments

Built = dict[str, Any]
MB = 1_000_000
ZSTD, GZIP = (f"application/vnd.oci.image.layer.v1.tar+{kind}" for kind in ("zstd", "gzip"))


def layers(built: Built) -> dict[str, dict[str, Any]]:
    """The layer groups of an image by name."""
    return {layer["name"]: layer for layer in built["layers"]}


def total(built: Built) -> int:
    return sum(layer["size"] for layer in built["layers"])


def wheels(built: Built) -> int:
    """The bytes of all wheels in the lock that the image was built from."""
    from envgen.profiles.catalog import shipped

    profile = built["image"]["labels"]["envgen.profile"]
    lock = tomllib.loads((shipped() / "locks" / profile / TARGET / "envgen.lock").read_text())
    return sum(package["size"] for package in lock["package"])


def manifest(image: str, digest: str) -> dict[str, Any]:
    """The manifest `digest` in the archive that the engine makes of an image: it has passed through nothing of envgen's."""
    command = ["docker", "save", image]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for entry in archive:
            if entry.name == f"blobs/sha256/{digest.removeprefix('sha256:')}":
                stream = archive.extractfile(entry)
                assert stream is not None
                found: dict[str, Any] = json.load(stream)
                process.kill()
                return found
    raise AssertionError(f"no {digest} in the archive of {image}")


@pytest.mark.parametrize("name", ["cpu_base", "bnb_quant"])
def test_the_layers_are_those_of_the_manifest(name: str, request: pytest.FixtureRequest) -> None:
    built = request.getfixturevalue(name)
    found = manifest(built["image"]["name"], built["image"]["digest"])["layers"]
    skeleton, workdir, *groups = [layer for layer in found if layer["mediaType"] == ZSTD]
    ours = [(layer["digest"], layer["size"]) for layer in built["layers"] if layer["name"] != "base"]
    assert [(layer["digest"], layer["size"]) for layer in (skeleton, *groups)] == ours
    assert layers(built)["base"]["size"] == sum(layer["size"] for layer in found) - sum(size for _, size in ours) - workdir["size"]
    assert workdir["size"] < 100


def test_bnb_quant_after_cuda_adds_little(cuda: Built, bnb_quant: Built) -> None:
    there = {layer["digest"] for layer in cuda["layers"]}
    new = {layer["name"]: layer["size"] for layer in bnb_quant["layers"] if layer["digest"] not in there}
    assert new.keys() == {"own"}
    assert 0 < new["own"] <= 60 * MB


def test_one_group_is_one_blob_in_every_profile(cpu_base: Built, cuda: Built, bnb_quant: Built) -> None:
    for name in ("skeleton", "libraries", "hugging-face"):
        assert len({layers(built)[name]["digest"] for built in (cpu_base, cuda, bnb_quant)}) == 1, name
    for name in ("cuda", "torch"):
        assert layers(cuda)[name] | {"push": 0} == layers(bnb_quant)[name] | {"push": 0}
    assert layers(cpu_base)["torch"]["digest"] != layers(cuda)["torch"]["digest"]


@pytest.mark.parametrize("name", ["cpu_base", "cuda", "bnb_quant"])
def test_an_image_is_not_much_larger_than_its_base_and_wheels(name: str, request: pytest.FixtureRequest) -> None:
    built = request.getfixturevalue(name)
    assert total(built) <= layers(built)["base"]["size"] + 1.15 * wheels(built)
    assert max(layer["size"] for layer in built["layers"]) < 5000 * MB


def test_what_the_host_must_have_is_on_the_image(cuda: Built, cpu_base: Built) -> None:
    labels = cuda["image"]["labels"]
    assert (labels["envgen.cuda"], labels["envgen.driver"]) == ("13.0", ">=580")
    assert not {"envgen.cuda", "envgen.driver"} & cpu_base["image"]["labels"].keys()
    env = inspect(cuda["image"]["name"])["Config"]["Env"]
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(env)


@pytest.fixture(scope="module")
def bumped(bnb_quant: Built, cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """bnb-quant with another release of transformers and nothing else, built over the image of before."""
    from envgen.profiles.catalog import shipped

    project = tmp_path_factory.mktemp("bumped")
    (project / "profiles").mkdir()
    text = (shipped() / "profiles" / "cpu-base.toml").read_text()
    assert '"transformers",' in text
    (project / "profiles" / "cpu-base.toml").write_text(text.replace('"transformers",', '"transformers==5.15.0",'))
    tag = f"envgen-test/bumped:{os.getpid()}"
    docker("tag", bnb_quant["image"]["name"], tag)
    env = {"ENVGEN_CACHE": str(cache)}
    try:
        envgen("lock", "bnb-quant", "--target", TARGET, cwd=project, env=env).must_pass()
        command = ("build", "bnb-quant", "--json", "--no-smoke", *base.arguments, "--tag", tag)
        yield json.loads(envgen(*command, cwd=project, env=env, timeout=1800).must_pass().stdout)
    finally:
        remove_images(tag)


def test_a_bump_of_transformers_changes_its_layer_alone(bnb_quant: Built, bumped: Built) -> None:
    before = {layer["name"]: layer["digest"] for layer in bnb_quant["layers"]}
    after = {layer["name"]: layer["digest"] for layer in bumped["layers"]}
    assert {name for name in after if after[name] != before[name]} == {"hugging-face"}
    assert bumped["replaced"] == bnb_quant["image"]["digest"]


def test_a_push_after_the_bump_sends_two_percent_at_most(bumped: Built) -> None:
    sent = {layer["name"]: layer["push"] for layer in bumped["layers"] if layer["push"]}
    assert sent == {"hugging-face": layers(bumped)["hugging-face"]["size"]}
    assert bumped["push"] == sent["hugging-face"] <= 0.02 * total(bumped)


def test_an_image_for_another_machine_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = envgen("build", "cuda", "--target", "py311-linux-arm64", cwd=tmp_path, env={"ENVGEN_CACHE": str(cache)})
    done.must_fail(5, "the lock is for linux/arm64, which this engine can't run", "--install arm64")
    assert not cache.exists()


def test_gzip_on_request_and_zstd_again_are_the_same_as_ever(image: Site, tag: str) -> None:
    def build(*arguments: str) -> str:
        done = image.envgen("build", "tiny", "--json", "--no-smoke", "--tag", tag, *arguments, *base_arguments()).must_pass()
        digest: str = json.loads(done.stdout)["image"]["digest"]
        return digest

    first = build()
    assert ZSTD in {layer["mediaType"] for layer in manifest(tag, first)["layers"]}
    old = build("--compression", "gzip")
    assert {layer["mediaType"] for layer in manifest(tag, old)["layers"]} == {GZIP}
    assert build() == first


def locked(project: Path, text: str, **env: str) -> dict[str, Any]:
    """The lock of a profile with this text."""
    (project / "profiles").mkdir(exist_ok=True)
    (project / "profiles" / "mine.toml").write_text(text)
    envgen("lock", "mine", "--target", TARGET, cwd=project, env=env).must_pass()
    return tomllib.loads((project / "locks" / "mine" / TARGET / "envgen.lock").read_text())


def test_an_older_cuda_for_an_older_driver(tmp_path: Path) -> None:
    """CUDA 12.8 in the one release of torch whose build for it is on the default index; the PyTorch index is not reached here."""
    text = 'extends = "cuda"\ndescription = "older"\ncuda = "12.8"\nrequirements = ["torch==2.10.0"]\nplatforms = ["linux/amd64"]\n'
    lock = locked(tmp_path, text)
    assert (lock["cuda"], lock["driver"]) == ("12.8", ">=525")
    versions = {package["name"]: package["version"] for package in lock["package"]}
    assert versions["nvidia-cuda-runtime-cu12"].startswith("12.8.")
    assert {package["layer"] for package in lock["package"] if package["name"].startswith("nvidia-")} == {"cuda"}


def test_a_cuda_that_no_index_offers(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text('extends = "cuda"\ndescription = "none"\ncuda = "12.7"\n')
    done = envgen("lock", "mine", cwd=tmp_path, env={"ENVGEN_INDEX_PYTORCH_CU127": str(tmp_path / "empty")})
    done.must_fail(3, "no index has torch 2.13.0 built for CUDA 12.7", "hint:  choose another CUDA")


def test_what_the_documents_name_beside_is_locked_within_its_bounds(tmp_path: Path) -> None:
    text = 'extends = "cpu-base"\ndescription = "wide"\nrequirements = ["datasets", "peft", "sentencepiece", "optimum"]\n'
    lock = locked(tmp_path, text)
    bounds = {package["name"]: [bound["requirement"] for bound in package.get("bounds", [])] for package in lock["package"]}
    assert bounds["datasets"] == [">=2.15.0"]
    assert bounds["peft"] == [">=0.18.0"]
    assert bounds["sentencepiece"] == [">=0.1.91,!=0.1.92"]
    assert "optimum" in bounds
