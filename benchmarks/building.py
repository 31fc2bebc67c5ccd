"""What `envgen build` takes with a cold builder and after a bump: python benchmarks/building.py --yes-prune [--base REF] [--pip]

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

After it, each side builds the same requirements with another release of transformers, whose wheel it has, too. What a push
would send after that is the layers of the second image that the first one has not, as its manifest lists them.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from measure import ENVGEN, ROOT, environment, load, scratch_folder, timed, write_section
from sides import Dockerfile, Envgen, Found, Machine, Version, measure

from envgen.core.settings import read_settings
from envgen.lock import Lock
from envgen.lock.folder import read_lock
from envgen.profiles import Project
from envgen.sources import IndexClient, Packages, WheelStore

OTHER_RELEASE = "transformers==5.15.0"
GOALS = {
    "cpu-base": {"build": 0.6, "rebuild": 0.1, "push": 0.10, "size": 0.95, "first_token": 1.0},
    "bnb-quant": {"build": 0.6, "rebuild": 0.1, "push": 0.02, "size": 0.95, "first_token": 1.0},
}
WORDS = {
    "build": "build, cold",
    "rebuild": "build after a bump of transformers",
    "push": "bytes to push after that bump",
    "size": "image, compressed",
    "first_token": "`docker run` to first token",
}
COLUMNS = {"envgen": "envgen", "uv-guide": "uv's guide", "pip": "pip, one layer"}


def main(options: argparse.Namespace) -> None:
    for profile in options.profile or [*GOALS]:
        with scratch_folder() as scratch:
            env = environment(scratch)
            versions = [Version(name="old", project=ROOT, lock=locked(profile, ROOT)), bumped(profile, scratch / "bumped", env)]
            fetch([version.lock for version in versions], env)
            machine = Machine(profile, options.base, env)
            names = ["uv-guide", *(["pip"] if options.pip else [])]
            plain = {name: Dockerfile(name, machine, versions, scratch) for name in names}
            try:
                # The untimed build that fills the cache mount of uv's guide.
                plain["uv-guide"].build(versions[0], "envgen-benchmark:warm")
                machine.remove("envgen-benchmark:warm")
                found = measure({"envgen": Envgen(machine), **plain}, versions, machine, options.runs)
            finally:
                machine.prune_all()
        write_section(f"Building {profile}", report(profile, found, options.runs))


def locked(profile: str, project: Path) -> Lock:
    """The lock of `profile` for the first target that an image is built for."""
    catalog = Project(folder=project)
    found = catalog.profile(profile)
    target = next(target for target in found.targets() if found.base(target))
    return read_lock(catalog, found, target)[0]


def bumped(profile: str, project: Path, env: Mapping[str, str]) -> Version:
    """A project whose `profile` is the shipped one with another release of transformers."""
    (project / "profiles").mkdir(parents=True)
    text = (ROOT / "profiles" / "cpu-base.toml").read_text(encoding="utf-8")
    changed = text.replace('"transformers",', f'"{OTHER_RELEASE}",')
    assert changed != text
    (project / "profiles" / "cpu-base.toml").write_text(changed, encoding="utf-8")
    target = locked(profile, ROOT).target
    timed([*ENVGEN, "--project", str(project), "lock", profile, "--target", target], env=env)
    return Version(name="new", project=project, lock=locked(profile, project))


def fetch(locks: list[Lock], env: Mapping[str, str]) -> None:
    settings = read_settings(env, ROOT)
    for lock in locks:
        client = IndexClient(settings, lock.index_urls)
        Packages(client, WheelStore(settings.wheels)).fetch(lock.fetched)


def report(profile: str, found: Mapping[str, Found], runs: int) -> str:
    sides = {name: side.medians() for name, side in found.items()}
    shown = [name for name in COLUMNS if name in sides]
    lines = [f"| | {' | '.join(COLUMNS[name] for name in shown)} | ratio to uv's | goal | |", f"|---|{'---:|' * len(shown)}---:|---:|---|"]
    for key, words in WORDS.items():
        ratio, goal = sides["envgen"][key] / sides["uv-guide"][key], GOALS[profile][key]
        figures = " | ".join(_figure(key, sides[name][key]) for name in shown)
        lines.append(f"| {words} | {figures} | {ratio:.3f} | {goal} | {'met' if ratio <= goal else '**missed**'} |")
    return f"""\
`python benchmarks/building.py` on {os.cpu_count()} cores: medians of {runs} runs that took turns (first token: of {3 * runs}), nothing to
download on any side; {load()}. What is cold, and what each side has warm, is said at the top of `building.py`.

{chr(10).join(lines)}
"""


def _figure(key: str, value: float) -> str:
    return f"{value / 1e6:.1f} MB" if key in ("push", "size") else f"{value:.1f} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures `envgen build` against other ways to build the same image.")
    parser.add_argument("--yes-prune", action="store_true", help="yes, empty the build cache of this engine")
    parser.add_argument("--base", default="", metavar="REF", help="build on this image in place of the locked base")
    parser.add_argument("--pip", action="store_true", help="measure pip.Dockerfile too, which takes longest")
    parser.add_argument("--profile", action="append", choices=[*GOALS], help="measure this one only")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    if not chosen.yes_prune:
        host = os.environ.get("DOCKER_HOST", "the default context")
        parser.error(f"this empties the build cache of the engine at {host}: add --yes-prune")
    main(chosen)
