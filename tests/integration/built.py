"""Images that tests look into: the docker command, the shipped lock, and a project with profiles that ask one smoke tier only."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Done, envgen

TARGET = "py311-linux-amd64"
TIERS = ("static", "cpu")
LOCKED_DOWN = ("--rm", "--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")


def docker(*arguments: str | Path) -> str:
    """Run the docker command to a good end; its output."""
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def remove_images(*names: str) -> None:
    """Remove those of the images that are there; what the builder keeps is for everyone."""
    there = [name for name in names if docker("image", "ls", "--quiet", name).strip()]
    if there:
        docker("image", "rm", "--force", *there)


def inspect(image: str) -> dict[str, Any]:
    """What the engine says of an image."""
    found: list[dict[str, Any]] = json.loads(docker("image", "inspect", image))
    return found[0]


def diff_ids(image: str) -> list[str]:
    """The digests of an image's layers as they are unpacked, the lowest first."""
    found: list[str] = inspect(image)["RootFS"]["Layers"]
    return found


def shipped_lock() -> Path:
    """The folder with the lock of cpu-base that comes with envgen."""
    from envgen.profiles.catalog import shipped

    folder: Path = shipped() / "locks" / "cpu-base" / TARGET
    return folder


def read_lock(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "envgen.lock").read_text())


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base that images are built on here: the locked one (empty `stand_in`), or another in its place."""

    stand_in: str

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--base", self.stand_in) if self.stand_in else ()

    @property
    def image(self) -> str:
        return self.stand_in or str(read_lock(shipped_lock())["base"])

    def python(self) -> str:
        """The full version of its Python."""
        program = "import platform; print(platform.python_version())"
        return docker("run", "--rm", "--network=none", self.image, "python3.11", "-c", program).strip()


@dataclass(frozen=True, kw_only=True)
class OneTier:
    """A project whose profiles extend cpu-base and ask a single tier each, with the images of them.

    Their layers are those of cpu-base; a smoke test of one tier takes a fraction of the time.
    """

    project: Path
    cache: Path
    images: dict[str, str]

    def smoke(self, tier: str, *arguments: str, image: str = "", **environment: str) -> Done:
        """Smoke-test that tier, in its own image or in another."""
        command = ("smoke", f"only-{tier}", "--image", image or self.images[tier], *arguments)
        return envgen(*command, cwd=self.project, env={"ENVGEN_CACHE": str(self.cache), **environment})


def make_one_tier(project: Path, cache: Path, base: Base) -> OneTier:
    """Write the profiles, lock them, and build their images: every layer is in the engine's cache already."""
    images = {tier: f"envgen-test/only-{tier}:{os.getpid()}" for tier in TIERS}
    env = {"ENVGEN_CACHE": str(cache)}
    (project / "profiles").mkdir(parents=True)
    for tier in TIERS:
        text = f'description = "cpu-base, of which the {tier} tier is tested"\nextends = "cpu-base"\n\n[smoke]\ntiers = ["{tier}"]\n'
        (project / "profiles" / f"only-{tier}.toml").write_text(text)
    envgen("lock", *(f"only-{tier}" for tier in TIERS), "--target", TARGET, cwd=project, env=env).must_pass()
    for tier in TIERS:
        envgen("build", f"only-{tier}", *base.arguments, "--no-smoke", "--tag", images[tier], cwd=project, env=env).must_pass()
    return OneTier(project=project, cache=cache, images=images)


def results(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of a smoke report by the name of the check."""
    return {result["name"]: result for result in report["results"]}
