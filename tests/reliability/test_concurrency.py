"""Eight envgen processes at once on one project and one store: all end well, with the same bytes, and no wheel comes twice at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from command import Done
from figures import campaign
from images import removed_images
from loopback import Proxy
from soundness import leftovers, store_problems
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, locked_base, write_profile

ROUNDS_IN_FULL = 5


def with_temporary(site: Site, folder: Path) -> Site:
    """`site` with a folder for temporary files of its own."""
    folder.mkdir()
    return replace(site, env={**site.env, "TMPDIR": str(folder)})


def at_once(site: Site, commands: Sequence[Sequence[str]]) -> list[tuple[Sequence[str], Done]]:
    """How the commands end that are all started now."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(zip(commands, pool.map(lambda command: site.envgen(*command), commands), strict=True))


def wheel_problems(index: Proxy, *, once: bool) -> list[str]:
    """Wheels that were fetched twice at the same time, or, if each is to come only `once`, twice at all."""
    faults = index.faults
    counts = faults.seen if once else faults.most
    return [f"fetched {count} times: {path}" for path, count in counts.items() if path.endswith(".whl") and count > 1]


def test_fetches_and_builds(image: Site, index: Proxy, tmp_path: Path) -> None:
    site = with_temporary(image, tmp_path / "tmp")
    write_profile(site.project, "other", requirements=[BETA, GAMMA], base=locked_base()[0], own_index=True)
    site.envgen("lock", "other").must_pass()
    locks = site.locks()
    with campaign("concurrency: 8 of fetch, build and lock --check", sample=1, full=ROUNDS_IN_FULL) as running, removed_images() as prefix:
        builds = [("build", profile, "--no-smoke", "--tag", prefix + profile, *base_arguments()) for profile in ("tiny", "other")]
        fetches = [("fetch", "--no-base"), ("fetch", "tiny", "--no-base"), ("fetch", "other", "--no-base")]
        commands = [*builds, builds[0], *fetches, ("lock", "--check"), ("lock", "--check", "tiny")]
        for number in range(running.cases):
            site.forget()
            index.faults.clear()
            ends = at_once(site, running.random.sample(commands, len(commands)))
            found = [f"{command}: {done.code}\n{done.stderr}" for command, done in ends if done.code != 0]
            found += wheel_problems(index, once=True)
            found += ["the locks are others"] * (site.locks() != locks)
            found += [*store_problems(site), *leftovers(site)]
            if found:
                running.failed("\n    ".join([f"round {number}", *found]))
            else:
                running.harmless()


def test_locks_that_change(locked: Site, index: Proxy, tmp_path: Path) -> None:
    """Whoever checks meanwhile is told that the lock is stale, or that all is well; nobody finds half of anything."""
    site = with_temporary(locked, tmp_path / "tmp")
    shapes = ([ALPHA, BETA, GAMMA], [GAMMA])
    expected = []
    for requirements in shapes:
        write_profile(site.project, requirements=requirements)
        site.envgen("lock", "tiny").must_pass()
        expected.append(site.locks())
    with campaign("concurrency: 8 of lock and lock --check, the locks change", sample=2, full=ROUNDS_IN_FULL) as running:
        for number in range(running.cases):
            write_profile(site.project, requirements=shapes[number % 2])
            site.forget()
            index.faults.clear()
            commands = [("lock", "tiny")] * 6 + [("lock", "--check", "tiny")] * 2
            ends = at_once(site, running.random.sample(commands, len(commands)))
            found = [
                f"{command}: {done.code}\n{done.stderr}"
                for command, done in ends
                if done.code not in ((0, 4) if "--check" in command else (0,)) or "Traceback" in done.stderr
            ]
            found += wheel_problems(index, once=False)
            found += ["the locks are not those of the profile"] * (site.locks() != expected[number % 2])
            found += [*store_problems(site), *leftovers(site)]
            if found:
                running.failed("\n    ".join([f"round {number}", *found]))
            else:
                running.harmless()
