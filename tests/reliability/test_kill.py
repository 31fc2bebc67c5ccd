"""`kill -9` at any moment: the next run needs no clean-up and gives the same bytes, and nothing half-written is taken for whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import killed
import pytest
from command import Done, started
from figures import FULL, Campaign, campaign
from images import removed_images
from loopback import Proxy
from soundness import leftovers, store_problems
from tiny import ALPHA, Site, base_arguments, write_profile

AT_ONCE = 3
"""Cases at the same time, each with a project and a store of its own."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A command that is killed in copies of `start`; run to its end there, it leaves the locks `locks` and says `said`.

    `{name}` in its arguments is another word for each copy; `seconds` is how long it takes.
    """

    arguments: tuple[str, ...]
    start: Site
    locks: dict[str, bytes]
    said: str
    seconds: float
    folder: Path

    def site(self, name: str) -> Site:
        """A copy of the start with a folder for temporary files of its own."""
        site = self.start.copy(self.folder / name)
        temporary = self.folder / name / "tmp"
        temporary.mkdir()
        return replace(site, env={**site.env, "TMPDIR": str(temporary)})

    def command(self, site: Site) -> list[str]:
        """The arguments of the command in `site`."""
        return [word.replace("{name}", site.project.parent.name) for word in self.arguments]

    def problems(self, site: Site) -> Iterator[str]:
        """What is wrong in `site` after the kill, and after the next run."""
        yield from store_problems(site)
        yield from self._lock_problems(site)
        done = site.envgen(*self.command(site))
        if done.code != 0:
            yield f"the next run: {done.code}\n{done.stderr}"
        if said(done) != self.said:
            yield f"the next run said {said(done)!r}, expected {self.said!r}"
        if site.locks() != self.locks:
            yield "the next run gave other locks"
        yield from store_problems(site)
        yield from leftovers(site)

    def _lock_problems(self, site: Site) -> Iterator[str]:
        """Each file is the old one or the new one; a mixture of both is one that `lock --check` finds."""
        old, new, found = self.start.locks(), self.locks, site.locks()
        for name in old.keys() | new.keys():
            if found.get(name) not in (old.get(name), new.get(name)):
                yield f"neither old nor new: {name}"
        whole = all(found.get(name) == content for name, content in new.items())
        code = site.envgen("lock", "--check", "tiny").code
        if code != (0 if whole else 4):
            yield f"lock --check: {code}, with {'the new' if whole else 'not all of the new'} files in place"


def said(done: Done) -> str:
    """What of a command's output must be the same each time: the image's digest, if it has one."""
    return str(json.loads(done.stdout)["image"]["digest"]) if done.stdout.startswith("{") else ""


def rehearsed(start: Site, folder: Path, *arguments: str) -> Trial:
    """A trial whose command ran to its end once, to see what it gives and how long it takes."""
    trial = Trial(arguments=arguments, start=start, locks={}, said="", seconds=0, folder=folder)
    site = trial.site("rehearsal")
    began = time.monotonic()
    done = site.envgen(*trial.command(site)).must_pass()
    seconds = time.monotonic() - began
    assert list(leftovers(site)) == []
    return replace(trial, locks=site.locks(), said=said(done), seconds=seconds)


@pytest.fixture(scope="module")
def locking(locked_site: Site, tiny_index: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Locking a profile that has grown, so that every file of its lock is another one afterwards."""
    folder = tmp_path_factory.mktemp("kill-lock")
    tiny_index.faults.clear()
    start = locked_site.copy(folder / "start")
    write_profile(start.project, requirements=[ALPHA])
    start.envgen("lock", "tiny").must_pass()
    write_profile(start.project)
    start.forget()
    return rehearsed(start, folder, "lock", "tiny")


@pytest.fixture
def building(image: Site, tmp_path: Path) -> Iterator[Trial]:
    """Building a small image, with its wheels not yet in the store."""
    with removed_images() as prefix:
        yield rehearsed(image, tmp_path, "build", "tiny", "--no-smoke", "--json", "--tag", f"{prefix}{{name}}", *base_arguments())


@pytest.fixture
def fetching(image: Site, tmp_path: Path) -> Trial:
    """Fetching what is locked into a store that has none of it but the installer."""
    return rehearsed(image, tmp_path, "fetch", "tiny", "--no-base")


def random_moments(running: Campaign, trial: Trial) -> None:
    """Kills at moments drawn evenly from the time that the command takes: envgen alone, or with all that it started."""
    moments = [(running.random.uniform(0, trial.seconds), running.random.random() < 0.5) for _ in range(running.cases)]

    def one(number: int) -> list[str]:
        moment, alone = moments[number]
        site = trial.site(f"case-{number}")
        with started(*trial.command(site), cwd=site.project, env=site.env, output=site.project.parent / "output") as process:
            if not process.ended_within(moment):
                process.kill(alone=alone)
            process.end()
            return list(trial.problems(site))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (moment, alone), problems in zip(moments, pool.map(one, range(running.cases)), strict=True):
            settle(running, f"after {moment:.3f} s of {trial.seconds:.3f} s, {'alone' if alone else 'with its group'}", problems)


def settle(running: Campaign, change: str, problems: list[str]) -> None:
    if problems:
        running.failed("\n    ".join([change, *problems]))
    else:
        running.harmless()


def test_lock_at_random_moments(locking: Trial) -> None:
    with campaign("kill: lock, random moments", sample=9, full=50) as running:
        random_moments(running, locking)


def test_fetch_at_random_moments(fetching: Trial) -> None:
    with campaign("kill: fetch, random moments", sample=9, full=50) as running:
        random_moments(running, fetching)


def test_build_at_random_moments(building: Trial) -> None:
    with campaign("kill: build, random moments", sample=6, full=50) as running:
        random_moments(running, building)


def step(trial: Trial, site: Site, number: int) -> Done:
    """The command of `trial`, killed before its step `number`."""
    command = [sys.executable, killed.__file__, str(number), *trial.command(site)]
    done = subprocess.run(command, cwd=site.project, env=os.environ | dict(site.env), capture_output=True, text=True, check=False)
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def each_step(running: Campaign, trial: Trial) -> None:
    """Kills before steps that change something: all of them, or so many that are drawn."""
    whole = step(trial, trial.site("all"), -1)
    count = int(whole.stderr.rpartition("steps: ")[2])
    running.cases = min(running.cases, count)
    numbers = sorted(running.random.sample(range(count), running.cases))

    def one(number: int) -> list[str]:
        site = trial.site(f"step-{number}")
        step(trial, site, number)
        return list(trial.problems(site))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, problems in zip(numbers, pool.map(one, numbers), strict=True):
            settle(running, f"before step {number} of {count}", problems)


def test_lock_at_each_step(locking: Trial) -> None:
    with campaign("kill: lock, before each of its steps", sample=9, full=50) as running:
        each_step(running, locking)


def test_fetch_at_each_step(fetching: Trial) -> None:
    with campaign("kill: fetch, before each of its steps", sample=9, full=50) as running:
        each_step(running, fetching)


def test_lock_while_an_answer_has_half_arrived(locking: Trial, index: Proxy) -> None:
    trials = [(suffix, alone) for suffix in ("/", ".metadata", ".whl") for alone in (True, False)]
    with campaign("kill: lock, while an answer has half arrived", sample=3, full=len(trials)) as running:
        for number, (suffix, alone) in enumerate(trials if FULL else trials[1::2]):
            site = locking.site(f"half-{number}")
            index.faults.stall(suffix)
            with started("lock", "tiny", cwd=site.project, env=site.env, output=site.project.parent / "output") as process:
                process.wait_for(partial(asked, index, suffix), f"{suffix} is asked for")
                process.kill(alone=alone)
                process.end()
                index.faults.clear()
                settle(running, f"{suffix}, {'alone' if alone else 'with its group'}", list(locking.problems(site)))


def asked(index: Proxy, suffix: str) -> bool:
    return index.faults.requests(suffix) > 0
