"""How long `envgen lock`, `envgen lock --check` and `envgen --help` take: python benchmarks/locking.py [RUNS]

The other side of `envgen lock cpu-base` is `uv pip compile` alone, which only resolves: it writes no file, digest,
size, upload time, reason or Dockerfile. It is given the same requirements, constraints, index mapping, instant and
platform; its three processes, one for each target, run at the same time, as envgen's do. Both sides must come to
the same versions. ENVGEN_INDEX_… count for both. Cold means that each run has a new, empty cache folder.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import ENVGEN, ROOT, Row, environment, load, medians, scratch_folder, table, timed, write_section

sys.path.insert(0, str(ROOT))

from envgen.core.settings import mirror_of, read_settings
from envgen.lock.folder import read_lock
from envgen.lock.make import query_for
from envgen.lock.resolvers import ResolveRequest
from envgen.profiles import Project
from envgen.sources import IndexClient

PROFILE = "cpu-base"
SHORT_RUNS = 4
"""So many times more often are those measured that take a fraction of a second."""


class Bare:
    """`uv pip compile` for each target of the profile, in folders below `work`."""

    def __init__(self, workspace: Path, env: dict[str, str]) -> None:
        from uv import find_uv_bin

        self._uv = find_uv_bin()
        self._env = env
        self._settings = read_settings(env, ROOT)
        self._workspace = workspace
        self._catalog = Project(folder=ROOT)
        self._profile = self._catalog.profile(PROFILE)
        client = IndexClient(self._settings, self._profile.index_urls)
        self.commands = [
            self._command(query_for(self._profile, self._catalog.bounds(self._profile), target), client)
            for target in self._profile.targets()
        ]

    def _command(self, query: ResolveRequest, client: IndexClient) -> list[str | Path]:
        folder = self._workspace / query.target.slug
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text("\n".join(_project(query, client)), encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join(query.constraints), encoding="utf-8")
        command: list[str | Path] = [self._uv, "pip", "compile", folder / "pyproject.toml", "--constraints", folder / "constraints.txt"]
        command += ["--output-file", folder / "requirements.txt", "--upgrade", "--no-config", "--quiet", "--only-binary", ":all:"]
        command += ["--python", sys.executable, "--python-version", query.target.python_full]
        command += ["--python-platform", query.target.uv_platform, "--exclude-newer", f"{query.as_of:%Y-%m-%dT%H:%M:%SZ}"]
        for index in query.indexes:
            if not index.upload_times:
                command += [word for name in index.packages for word in ("--exclude-newer-package", f"{name}=false")]
        if mirror_of(self._settings, "default"):
            command += ["--default-index", client.location("default")]
        return command

    def run(self, cache: Path) -> float:
        env = {**self._env, "UV_CACHE_DIR": str(cache / "uv"), "MACOSX_DEPLOYMENT_TARGET": self._profile.targets()[0].macos}
        return timed(*self.commands, env=env)

    def check(self, project: Path) -> None:
        """Ends the benchmark unless the locks below `project` have the versions that bare uv came to."""
        for target in self._profile.targets():
            text = (self._workspace / target.slug / "requirements.txt").read_text(encoding="utf-8")
            bare = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
            lock, _ = read_lock(Project(folder=project), self._profile, target)
            if bare != {wheel.name: wheel.version for wheel in lock.wheels}:
                sys.exit(f"error: {target.slug}: bare uv and envgen came to different versions: no comparison")


def _project(query: ResolveRequest, client: IndexClient) -> Iterator[str]:
    yield f"[project]\nname = 'bare'\nversion = '0'\ndependencies = {json.dumps(query.requirements)}\n[tool.uv.sources]"
    for index in query.indexes:
        yield from (f"{package} = {{ index = {json.dumps(index.name)} }}" for package in index.packages)
    for index in query.indexes:
        folder = client.folder(index.name)
        location = folder.absolute().as_uri() if folder else client.location(index.name)
        yield f"[[tool.uv.index]]\nname = {json.dumps(index.name)}\nurl = {json.dumps(location)}\nexplicit = true"
        if folder:
            yield "format = 'flat'"


def main(runs: int) -> None:
    with scratch_folder() as scratch:
        env = environment(scratch)
        bare = Bare(scratch / "bare", env)
        project = scratch / "project"
        project.mkdir()
        fresh = (scratch / f"cache-{number}" for number in range(10**6))

        def lock(cache: Path) -> float:
            return timed([*ENVGEN, "--project", str(project), "lock", PROFILE], env={**env, "ENVGEN_CACHE": str(cache)})

        def python(*arguments: str) -> float:
            return timed([sys.executable, *arguments], env=env)

        warm = scratch / "warm"
        lock(warm), bare.run(warm)
        bare.check(project)
        sides = {
            "lock, cold": lambda: lock(next(fresh)),
            "bare uv, cold": lambda: bare.run(next(fresh)),
            "lock, warm": lambda: lock(warm),
            "bare uv, warm": lambda: bare.run(warm),
        }
        found = medians(sides, runs)
        short = {
            "lock --check": lambda: timed([*ENVGEN, "--project", str(ROOT), "lock", PROFILE, "--check"], env=env),
            "--help": lambda: timed([*ENVGEN, "--help"], env=env),
            "python -c pass": lambda: python("-c", "pass"),
        }
        found |= medians(short, runs * SHORT_RUNS)
    locks = len(list((ROOT / "locks").glob(f"{PROFILE}/*/envgen.lock")))
    rows = [
        Row(what=f"`envgen lock {PROFILE}`, cold caches", ours=found["lock, cold"], theirs=found["bare uv, cold"], goal=1.25),
        Row(what=f"`envgen lock {PROFILE}`, warm caches", ours=found["lock, warm"], theirs=found["bare uv, warm"], goal=1.25),
        Row(what=f"`envgen lock {PROFILE} --check`, {locks} locks", ours=found["lock --check"], goal=0.3),
        Row(what="`envgen --help`", ours=found["--help"], theirs=found["python -c pass"], goal=5),
    ]
    write_section("Locking", report(rows, runs))


def report(rows: list[Row], runs: int) -> str:
    import os

    return f"""\
`python benchmarks/locking.py {runs}` on {os.cpu_count()} cores: medians of {runs} runs that took turns
({runs * SHORT_RUNS} for the last two); {load()}. The other side is three `uv pip compile` at the same time, and `python -c pass`.

{table(rows, "other side")}
"""


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
