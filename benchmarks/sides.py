"""The sides of building.py: envgen, a Dockerfile as uv's guide has it, and the shortest one with pip; each builds a lock's image."""

import json
import os
import shutil
import statistics
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import ENVGEN, ROOT, timed

sys.path.insert(0, str(ROOT))

from envgen.core.process import run as run_program
from envgen.core.settings import read_settings
from envgen.engine.docker import DockerEngine
from envgen.lock import Lock
from envgen.smoke.model import EMBEDDED
from envgen.sources import Wheel, WheelStore

HERE = Path(__file__).parent
TAG = "envgen-benchmark"
COLD = ("regular", "internal", "frontend")
"""The types of entries in a build cache that hold the results of steps."""

FIRST_TOKEN = """
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("/model")
model = AutoModelForCausalLM.from_pretrained("/model", dtype="bfloat16")
batch = tokenizer("Every image begins", return_tensors="pt")
print(model.generate(**batch, do_sample=False, max_new_tokens=1)[0, -1].item())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A lock that is built, and the project that has it: the shipped one, and one with another release of transformers."""

    name: str
    project: Path
    lock: Lock


@dataclass(slots=True, kw_only=True)
class Found:
    """What was measured of one side: seconds of each run, and bytes."""

    build: list[float] = field(default_factory=list)
    rebuild: list[float] = field(default_factory=list)
    first_token: list[float] = field(default_factory=list)
    size: int = 0
    push: int = 0

    def medians(self) -> dict[str, float]:
        times = {name: statistics.median(getattr(self, name)) for name in ("build", "rebuild", "first_token")}
        return {**times, "size": float(self.size), "push": float(self.push)}


class Machine:
    """The engine, and what all sides are given."""

    def __init__(self, profile: str, base: str, env: Mapping[str, str]) -> None:
        self.profile = profile
        self.env = env
        self.base = base
        self._engine = DockerEngine(read_settings(env, ROOT))

    def docker(self, *arguments: str) -> str:
        finished = run_program(["docker", *arguments], env=dict(self.env))
        if finished.code != 0:
            sys.exit(f"error: docker {' '.join(arguments)}: {finished.stderr}")
        return finished.stdout

    def prune(self) -> None:
        for kind in COLD:
            self.docker("builder", "prune", "--all", "--force", "--filter", f"type={kind}")

    def prune_all(self) -> None:
        self.docker("builder", "prune", "--all", "--force")

    def blobs(self, tag: str) -> dict[str, int]:
        """The size in bytes of each layer of an image, by digest."""
        image = self._engine.image(tag)
        assert image is not None, tag
        return {blob.digest: blob.size for blob in self._engine.layers(image)}

    def first_token(self, tag: str) -> float:
        command = ["docker", "run", "--rm", "--network", "none", "--volume", f"{EMBEDDED}:/model:ro", tag, "python", "-c", FIRST_TOKEN]
        return timed(command, env=self.env)

    def remove(self, *tags: str) -> None:
        self.docker("image", "rm", "--force", *tags)


class Envgen:
    """`envgen build`, as a user types it, without the smoke test; the wheels are in its store."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def build(self, version: Version, tag: str) -> float:
        base = ["--base", self._machine.base] if self._machine.base else []
        command = [*ENVGEN, "--project", str(version.project), "build", self._machine.profile, *base, "--no-smoke", "--tag", tag]
        return timed(command, env=self._machine.env)


class Dockerfile:
    """One of the Dockerfiles beside this file, built with buildx's defaults and --load; the wheels are in a folder."""

    def __init__(self, name: str, machine: Machine, versions: Sequence[Version], scratch: Path) -> None:
        self._name = name
        self._machine = machine
        self._contexts = {version.name: _contexts(version.lock, scratch / name / version.name, machine.env) for version in versions}

    def build(self, version: Version, tag: str) -> float:
        contexts = self._contexts[version.name]
        base = self._machine.base or version.lock.base
        command = ["docker", "buildx", "build", "--quiet", "--load", "--file", str(HERE / f"{self._name}.Dockerfile")]
        command += ["--build-arg", f"BASE={base}", "--tag", tag]
        command += [word for key in ("wheels", "uv") for word in ("--build-context", f"{key}={contexts[key]}")]
        return timed([*command, str(contexts["context"])], env=self._machine.env)


def _contexts(lock: Lock, folder: Path, env: Mapping[str, str]) -> dict[str, Path]:
    """The folders that a Dockerfile is given: wheels, the program uv, and requirements."""
    contexts = {name: folder / name for name in ("wheels", "uv", "context")}
    store = WheelStore(read_settings(env, ROOT).wheels)
    for path in contexts.values():
        path.mkdir(parents=True)
    for wheel in lock.wheels:
        _place(store, wheel, contexts["wheels"])
    lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in lock.wheels]
    (contexts["context"] / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lock.installer is not None
    with zipfile.ZipFile(store.path(lock.installer.sha256, lock.installer.file)) as archive:
        program = contexts["uv"] / "uv"
        program.write_bytes(archive.read(f"{lock.installer.name}-{lock.installer.version}.data/scripts/uv"))
        program.chmod(0o755)
    return contexts


def _place(store: WheelStore, wheel: Wheel, folder: Path) -> None:
    """The wheel in `folder`: as a link where the store is on the same disk, for they are large."""
    source = store.path(wheel.sha256, wheel.file)
    try:
        os.link(source, folder / wheel.file)
    except OSError:
        shutil.copy2(source, folder)


def measure(sides: Mapping[str, Envgen | Dockerfile], versions: Sequence[Version], machine: Machine, runs: int) -> dict[str, Found]:
    """Each side builds the first version cold and then the second; they take turns. No side's images stay for another's turn."""
    old, new = versions
    found = {name: Found() for name in sides}
    for turn in range(runs):
        for name in [*sides] if turn % 2 == 0 else reversed([*sides]):
            tags = {version.name: f"{TAG}:{name}-{version.name}" for version in versions}
            machine.prune()
            found[name].build.append(sides[name].build(old, tags[old.name]))
            found[name].rebuild.append(sides[name].build(new, tags[new.name]))
            found[name].first_token += [machine.first_token(tags[old.name]) for _ in range(3)]
            before, after = machine.blobs(tags[old.name]), machine.blobs(tags[new.name])
            found[name].size = sum(before.values())
            found[name].push = sum(size for digest, size in after.items() if digest not in before)
            machine.remove(*tags.values())
            print(f"  {machine.profile} {name:<10} {json.dumps(found[name].medians())}", flush=True)
    return found
