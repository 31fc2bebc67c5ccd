"""How long `envgen build cpu-base` takes with a cold builder: python benchmarks/building.py --yes-prune [--base REF] [--pip]

It EMPTIES the build cache of the engine that DOCKER_HOST names, again and again: give it an engine of its own.

The other sides are a Dockerfile as uv's guide has it (uv-guide.Dockerfile) and the shortest one with pip
(pip.Dockerfile), built with buildx's defaults and --load. No side fetches anything while it is measured:

- envgen has the wheels in its store. Its time is that of the whole command: reading and checking the lock, verifying the
  wheels, the build into the engine's store. The image is not smoke-tested, the others are not either.
- uv's guide has its cache mount warm, with every wheel unpacked in it: an untimed build fills it.
- pip has the wheels in a folder.

Cold means: no step of any build is cached. A plain `docker builder prune` would take the cache mount too, so that on a
builder that is new, as in most CI, uv's guide would have to fetch and unpack. To leave it its cache, all sides run after
the same `prune`, of every type of entry but cache mounts and the copies of local folders; envgen profits from neither.
"""

import argparse
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import ENVGEN, ROOT, Row, environment, load, medians, scratch_folder, table, timed, write_section

sys.path.insert(0, str(ROOT))

from envgen.catalog import Catalog
from envgen.index import IndexClient
from envgen.lock import Lock
from envgen.locking import read_lock
from envgen.process import run as run_program
from envgen.settings import read_settings
from envgen.wheels import WheelStore

PROFILE = "cpu-base"
HERE = Path(__file__).parent
TAG = "envgen-benchmark"
COLD = ("regular", "internal", "frontend")
"""The types of entries in a build cache that hold the results of steps."""


class Builder:
    """The engine, and the two other sides' build contexts below `scratch`."""

    def __init__(self, lock: Lock, base: str, env: dict[str, str], scratch: Path) -> None:
        self._env = env
        self._base = base
        self._locked = lock.base
        self._contexts = {name: scratch / name for name in ("wheels", "uv", "context")}
        store = WheelStore(read_settings(env, ROOT).wheels)
        assert lock.installer is not None
        for folder in self._contexts.values():
            folder.mkdir()
        for wheel in lock.wheels:
            shutil.copy2(store.path(wheel.sha256, wheel.file), self._contexts["wheels"])
        lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in lock.wheels]
        (self._contexts["context"] / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        installer = lock.installer
        with zipfile.ZipFile(store.path(installer.sha256, installer.file)) as archive:
            program = self._contexts["uv"] / "uv"
            program.write_bytes(archive.read(f"{installer.name}-{installer.version}.data/scripts/uv"))
            program.chmod(0o755)

    def envgen(self) -> float:
        self._prune()
        base = ["--base", self._base] if self._base else []
        return timed([*ENVGEN, "build", PROFILE, *base, "--no-smoke", "--tag", f"{TAG}:envgen"], env=self._env)

    def uv(self) -> float:
        self._prune()
        return self._plain("uv-guide")

    def pip(self) -> float:
        self._prune()
        return self._plain("pip")

    def _prune(self) -> None:
        for kind in COLD:
            self.docker("builder", "prune", "--all", "--force", "--filter", f"type={kind}")

    def _plain(self, name: str) -> float:
        command = ["docker", "buildx", "build", "--quiet", "--load", "--file", str(HERE / f"{name}.Dockerfile")]
        command += ["--build-arg", f"BASE={self._base or self._locked}", "--tag", f"{TAG}:{name}"]
        command += [word for key in ("wheels", "uv") for word in ("--build-context", f"{key}={self._contexts[key]}")]
        return timed([*command, str(self._contexts["context"])], env=self._env)

    def docker(self, *arguments: str) -> str:
        finished = run_program(["docker", *arguments], env=self._env)
        if finished.code != 0:
            sys.exit(f"error: docker {' '.join(arguments)}: {finished.stderr}")
        return finished.stdout

    def size(self, name: str) -> float:
        """What the engine counts for an image, in MB."""
        return float(json.loads(self.docker("image", "inspect", f"{TAG}:{name}"))[0]["Size"]) / 1e6

    def remove(self, names: Sequence[str]) -> None:
        self.docker("image", "rm", "--force", *(f"{TAG}:{name}" for name in names))
        self.docker("builder", "prune", "--all", "--force")


def main(options: argparse.Namespace) -> None:
    profile = Catalog(project=ROOT).profile(PROFILE)
    target = next(target for target in profile.targets() if profile.base(target))
    lock, _ = read_lock(Catalog(project=ROOT), profile, target)
    with scratch_folder() as scratch:
        env = environment(scratch)
        client = IndexClient(read_settings(env, ROOT), {index.name: index.url for index in lock.indexes})
        WheelStore(read_settings(env, ROOT).wheels).fetch((*lock.wheels, *filter(None, (lock.installer,))), client)
        builder = Builder(lock, options.base, env, scratch)
        builder.uv(), builder.envgen()
        sides = {"uv-guide": builder.uv, "envgen": builder.envgen, **({"pip": builder.pip} if options.pip else {})}
        try:
            found = medians(sides, options.runs)
            sizes = {name: builder.size(name) for name in sides}
        finally:
            builder.remove(tuple(sides))
    write_section("Building", report(found, sizes, options.runs))


def report(found: Mapping[str, float], sizes: Mapping[str, float], runs: int) -> str:
    row = Row(what=f"`envgen build {PROFILE}`", ours=found["envgen"], theirs=found["uv-guide"], goal=0.7)
    columns = {"envgen": "envgen", "uv-guide": "uv's guide", "pip": "pip, one layer"}
    shown = [name for name in columns if name in found]
    return f"""\
`python benchmarks/building.py` on {os.cpu_count()} cores: medians of {runs} runs that took turns, no step of a build cached,
nothing to download on any side; {load()}. What each side has warm, and how, is said at the top of `building.py`.

{table([row], "uv's guide")}

| | {" | ".join(columns[name] for name in shown)} |
|---|{"---:|" * len(shown)}
| build | {" | ".join(f"{found[name]:.1f} s" for name in shown)} |
| image, as the engine counts it | {" | ".join(f"{sizes[name]:.0f} MB" for name in shown)} |
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures `envgen build` against other ways to build the same image.")
    parser.add_argument("--yes-prune", action="store_true", help="yes, empty the build cache of this engine")
    parser.add_argument("--base", default="", metavar="REF", help="build on this image in place of the locked base")
    parser.add_argument("--pip", action="store_true", help="measure pip.Dockerfile too, which takes longest")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    if not chosen.yes_prune:
        host = os.environ.get("DOCKER_HOST", "the default context")
        parser.error(f"this empties the build cache of the engine at {host}: add --yes-prune")
    main(chosen)
