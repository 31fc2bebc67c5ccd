"""A disk that is full, wherever it is met: a clear error, nothing lost, no half file; with room again, the same bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from command import Done, started
from figures import FULL, campaign
from images import removed_images
from loopback import Proxy
from soundness import leftovers, store_problems
from test_bad_index import small_disk
from tiny import ALPHA, GAMMA, Site, base_arguments, locked_base, make_wheel, write_profile

PLENTY = "256M"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Something that lies on a small disk: `move` gives a site where it does."""

    name: str
    sizes: Sequence[str]

    def move(self, site: Site, disk: Path) -> Site:
        if self.name == "project":
            target = Site(project=disk / "project", env=site.env)
            subprocess.run(["cp", "-r", site.project, target.project], check=True)
            return target
        variable = {"cache": "ENVGEN_CACHE", "temporary files": "TMPDIR"}[self.name]
        return replace(site, env={**site.env, variable: str(disk)})


PLACES = (
    Place(name="project", sizes=("16k", "20k", "24k", "28k", "32k", "64k")),
    Place(name="cache", sizes=("4k", "64k", "128k", "256k", "512k", "8M")),
    Place(name="temporary files", sizes=("4k",)),
)
"""Full at once, later, or never."""


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def problems(site: Site, done: Done, before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[str]:
    """What is wrong after a command on a disk that may have been too small for it."""
    if done.code not in (0, 6) or "Traceback" in done.stderr:
        yield f"exit code {done.code}, expected 0 or 6\n{done.stderr}"
    if done.code == 6 and not ("error: " in done.stderr and "hint:  " in done.stderr):
        yield f"no message with a hint\n{done.stderr}"
    if site.locks() != (after if done.code == 0 else before):
        yield f"exit code {done.code}, and the locks are others"
    yield from store_problems(site)
    yield from leftovers(site)


@pytest.fixture
def grown(locked: Site, tmp_path: Path) -> tuple[Site, dict[str, bytes]]:
    """A project whose profile has grown since it was locked, and the locks that it gives."""
    (tmp_path / "tmp").mkdir()
    site = replace(locked, env={**locked.env, "TMPDIR": str(tmp_path / "tmp")})
    site.envgen("lock", "tiny").must_pass()
    after = site.locks()
    write_profile(site.project, requirements=[ALPHA])
    site.envgen("lock", "tiny").must_pass()
    write_profile(site.project)
    site.forget()
    return site, after


def test_lock(grown: tuple[Site, dict[str, bytes]], tmp_path: Path) -> None:
    start, after = grown
    before = start.locks()
    trials = [(place, size) for place in PLACES for size in (place.sizes if FULL else place.sizes[1:5:2])]
    with campaign("disk full: lock", sample=len(trials), full=len(trials)) as running:
        for number, (place, size) in enumerate(trials):
            with small_disk(tmp_path / f"disk-{number}", size) as disk:
                try:
                    site = place.move(start, disk)
                except subprocess.CalledProcessError:
                    running.failed(f"{place.name} on {size}: the project itself does not fit")
                    continue
                done = site.envgen("lock", "tiny")
                found = list(problems(site, done, before, after))
                resize(disk, PLENTY)
                found += problems(site, site.envgen("lock", "tiny").must_pass(), before, after)
                for path in (start.project / "locks").rglob("*"):
                    if place.name != "project" and path.is_file():
                        path.write_bytes(before[str(path.relative_to(start.project / "locks"))])
            if found:
                running.failed("\n    ".join([f"{place.name} on {size}", *found]))
            elif done.code == 0:
                running.harmless()
            else:
                running.detected()


LARGE = "envgen-tiny-large"


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """The disk without any room, as long as the context lasts."""
    with (disk / "filling").open("wb") as stream:
        try:
            while True:
                stream.write(bytes(2**16))
                stream.flush()
        except OSError:
            pass
    yield
    (disk / "filling").unlink()


def test_build_when_the_disk_fills_up_while_a_wheel_arrives(image: Site, index: Proxy, tiny_wheels: Path, tmp_path: Path) -> None:
    """There was room when it was looked for; then half of a wheel arrives, somebody else takes the rest, and so do the other half."""
    make_wheel(tiny_wheels, LARGE, padding=4 << 20)
    profile = write_profile(image.project, requirements=[GAMMA, LARGE], base=locked_base()[0], own_index=True)
    profile.write_text(profile.read_text().replace(f'packages = ["{ALPHA}"', f'packages = ["{LARGE}", "{ALPHA}"'))
    image.envgen("lock", "tiny").must_pass()
    locks = image.locks()
    with campaign("disk full: build, while a wheel arrives", sample=1, full=3) as running, removed_images() as prefix:
        for number in range(running.cases):
            with small_disk(tmp_path / f"disk-{number}", "96M") as disk:
                (disk / "tmp").mkdir()
                site = replace(image, env={**image.env, "ENVGEN_CACHE": str(disk), "TMPDIR": str(disk / "tmp")})
                arguments = ("build", "tiny", "--no-smoke", "--tag", f"{prefix}one", *base_arguments())
                index.faults.stall(f"/{LARGE.replace('-', '_')}-1.0-py3-none-any.whl")
                with started(*arguments, cwd=site.project, env=site.env, output=tmp_path / "output") as process:
                    process.wait_for(partial(half_a_wheel, site), "half of the wheel is there")
                    with filled(disk):
                        index.faults.clear()
                        done = process.end()
                found = list(problems(site, done, locks, locks))
                if done.code != 6:
                    found.append(f"exit code {done.code}, expected 6\n{done.stderr}")
                again = site.envgen(*arguments)
                found += problems(site, again, locks, locks)
                if again.code != 0:
                    found.append(f"the next run: {again.code}\n{again.stderr}")
            if found:
                running.failed("\n    ".join([str(number), *found]))
            else:
                running.detected()


def half_a_wheel(site: Site) -> bool:
    return any(path.stat().st_size > 1 << 20 for path in site.store.glob(".partial/envgen-wheel-*/wheel"))


def test_a_project_that_can_only_be_read(grown: tuple[Site, dict[str, bytes]], tmp_path: Path) -> None:
    start, after = grown
    before = start.locks()
    with small_disk(tmp_path / "disk", "1M") as disk:
        site = PLACES[0].move(start, disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        site.envgen("lock", "tiny").must_fail(2, "Read-only file system", "nothing was changed")
        assert site.locks() == before
        site.envgen("lock", "--check", "tiny").must_fail(4, "the lock is stale")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        site.envgen("lock", "tiny").must_pass()
        assert site.locks() == after


def test_a_cache_that_can_only_be_read(grown: tuple[Site, dict[str, bytes]], tmp_path: Path) -> None:
    start, _ = grown
    before = start.locks()
    with small_disk(tmp_path / "disk", "1M") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        start.envgen("lock", "tiny", ENVGEN_CACHE=str(disk)).must_fail(6, "ENVGEN_CACHE")
    assert start.locks() == before
