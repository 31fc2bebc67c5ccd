"""An index that is refused, slow, busy, cut off, wrong or endless: bounded tries, then a clear error; the locks stay as they were."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import formatdate
from itertools import product
from pathlib import Path

import pytest
from command import Done
from figures import FULL, campaign
from loopback import LOOPBACK, Fault, Proxy, content, delivered, flipped, free_port, half, proxy_for, status, truncated
from soundness import leftovers, store_problems
from test_bad_index import HTML, NO_JSON
from tiny import GAMMA, Site, base_arguments, wheel_name
from wrong import bomb, busy, dripping, endless, redirect, reset

PATIENCE = 2
"""Seconds that envgen is told to be patient."""

BOUND = 90.0
"""Seconds that a command may take here at most: uv's share is ten times the patience; the rest are tries, pauses and a busy machine."""

REQUESTS = 14
"""Requests for one thing: uv makes 4, and envgen, that asks for a page beside it, 5."""

AT_ONCE = 6
"""Commands at the same time: they mostly wait."""

PLACES = {"page": f"/{GAMMA}/", "metadata": f"/{wheel_name(GAMMA)}.metadata", "wheel": f"/{wheel_name(GAMMA)}"}

FOR_GOOD: Mapping[str, Fault] = {
    "500": status(500),
    "503": status(503),
    "429": status(429),
    "429, wait a week": busy(429, str(7 * 86400)),
    "503, wait until next year": busy(503, formatdate(time.time() + 365 * 86400, usegmt=True)),
    "503, wait for what is no time": busy(503, "soon"),
    "reset": delivered(reset),
    "stalled": delivered(half),
    "a byte a second": delivered(dripping),
    "cut off": truncated,
    "one byte different": flipped,
    "login page": HTML,
    "broken JSON": NO_JSON,
    "nothing": content("application/octet-stream", b""),
    "redirect to itself": redirect("?"),
    "redirect to what is no server": redirect("http://127.0.0.1:1/"),
    "redirect to what is no address": redirect("http://["),
    "endless": endless,
    "huge when unpacked": bomb(512 << 20),
}
"""What the index says each time, or how."""

ONCE: Mapping[str, Fault] = {
    "429 once": status(429),
    "429 once, wait a second": busy(429, "1"),
    "503 once, wait until a date": busy(503, formatdate(time.time() + 1, usegmt=True)),
    "500 once": status(500),
    "reset once": delivered(reset),
    "stalled once": delivered(half),
    "cut off once": truncated,
}
"""What the index says the first time it is asked; the command must be none the worse for it."""

SAMPLE = ("503", "stalled", "a byte a second", "login page", "endless", "huge when unpacked", "429 once, wait a second", "reset once")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command whose index has a fault in one place."""

    command: str
    place: str
    fault: str

    def __str__(self) -> str:
        return f"{self.command}: {self.place}: {self.fault}"

    @property
    def may_pass(self) -> bool:
        """A fault that passes does not count, nor does one of something that can be had in another way."""
        return self.fault in ONCE or self.place == "metadata"

    @property
    def requests(self) -> int:
        """How often the index may be asked for the one thing; each who asks follows ten redirects."""
        return REQUESTS * 2 if self.fault == "redirect to itself" else REQUESTS

    @property
    def must_pass(self) -> bool:
        return self.fault in ONCE


def cases(command: str, *places: str) -> list[Case]:
    faults = [name for name in (*FOR_GOOD, *ONCE) if FULL or name in SAMPLE]
    found = [Case(command=command, place=place, fault=fault) for place, fault in product(places, faults)]
    # Each of these is good JSON or a good wheel for all that anybody can tell: there is no digest yet.
    return [case for case in found if not (case.command.startswith("lock") and case.fault == "one byte different")]


def try_one(case: Case, site: Site, upstream: str, arguments: tuple[str, ...]) -> tuple[bool, list[str]]:
    """Whether the command passed, and what is wrong with how it ended."""
    with proxy_for(f"http://{upstream}") as index:
        fault = FOR_GOOD.get(case.fault) or ONCE[case.fault]
        index.faults.add(PLACES[case.place], fault, times=1 if case.fault in ONCE else 1_000_000)
        began = time.monotonic()
        done = site.envgen(*arguments, **{mirror(site): index.url, "ENVGEN_PATIENCE": str(PATIENCE)})
        seconds = time.monotonic() - began
        found = list(ending_problems(case, done))
        if seconds > BOUND:
            found.append(f"took {seconds:.0f} s")
        if index.faults.requests(PLACES[case.place]) > case.requests:
            found.append(f"{index.faults.requests(PLACES[case.place])} requests")
    return done.code == 0, found


def mirror(site: Site) -> str:
    """The variable that says where the index of `site` is."""
    return next(name for name in site.env if name.startswith("ENVGEN_INDEX_"))


def ending_problems(case: Case, done: Done) -> Iterator[str]:
    """What is wrong with a command's end: it must pass, or fail in words and with the code that its cure has."""
    if case.must_pass or (case.may_pass and done.code == 0):
        if done.code != 0:
            yield f"exit code {done.code}, expected 0\n{done.stderr}"
        return
    message = done.stderr[done.stderr.find("error: ") :]
    if done.code not in (3, 8) or "Traceback" in done.stderr or not message.startswith("error: "):
        yield f"exit code {done.code}, expected 3 or 8 and a message\n{done.stderr}"
    if not any(word in message for word in (GAMMA, wheel_name(GAMMA), LOOPBACK)) or len(message) > 4000:
        yield f"does not say in a few words what it is about\n{message[:4000]}"


def run(name: str, chosen: list[Case], start: Site, proxy: Proxy, folder: Path, *arguments: str) -> None:
    """A campaign of `chosen` cases of the command `arguments`, each in a copy of `start`."""
    before = start.locks()

    def one(case: Case) -> tuple[Case, bool, list[str]]:
        home = folder / str(chosen.index(case))
        site = start.copy(home)
        (home / "tmp").mkdir()
        site = replace(site, env={**site.env, "TMPDIR": str(home / "tmp")})
        passed, found = try_one(case, site, proxy.upstream, arguments)
        if site.locks() != before:
            found.append("the locks are others")
        return case, passed, [*found, *store_problems(site), *leftovers(site)]

    with campaign(name, sample=len(chosen), full=len(chosen)) as running, ThreadPoolExecutor(AT_ONCE) as pool:
        for case, passed, found in pool.map(one, chosen):
            if found:
                running.failed("\n    ".join([str(case), *found]))
            elif passed:
                running.harmless()
            else:
                running.detected()


def test_lock(locked: Site, index: Proxy, tmp_path: Path) -> None:
    run("index faults: lock", cases("lock", *PLACES), locked, index, tmp_path / "cases", "lock", "tiny")


def test_lock_with_pip_tools(locked: Site, index: Proxy, tmp_path: Path) -> None:
    chosen = cases("lock with pip-tools", "page")
    run("index faults: lock with pip-tools", chosen, locked, index, tmp_path / "cases", "lock", "tiny", "--resolver", "pip-tools")


def test_fetch(image: Site, index: Proxy, tmp_path: Path) -> None:
    """What `envgen build` does before it builds, too."""
    run("index faults: fetch", cases("fetch", "page", "wheel"), image, index, tmp_path / "cases", "fetch", "tiny", "--no-base")


@pytest.mark.parametrize(
    ("start", "arguments"), [("locked", ["lock", "tiny"]), ("image", ["build", "tiny", "--no-smoke", *base_arguments()])]
)
def test_an_index_that_refuses(request: pytest.FixtureRequest, start: str, arguments: list[str]) -> None:
    site: Site = request.getfixturevalue(start)
    before, host = site.locks(), f"{LOOPBACK}:{free_port()}"
    site.envgen(*arguments, **{mirror(site): f"http://{host}/simple"}).must_fail(3, host, "hint:  ")
    assert site.locks() == before


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_credentials_go_to_no_other_host(locked: Site, index: Proxy, resolver: str) -> None:
    """The index sends all that is asked of it to another one, by another name: nothing secret goes along."""
    before = locked.locks()
    credentials = {"ENVGEN_INDEX_DEFAULT_USERNAME": "me", "ENVGEN_INDEX_DEFAULT_PASSWORD": "secret"}
    with proxy_for(f"http://{index.upstream}") as other:
        index.faults.add("", redirect(other.root.replace(LOOPBACK, "localhost") + "{path}"))
        done = locked.envgen("lock", "tiny", "--resolver", resolver, **credentials)
        assert index.faults.authorized.total() > 0, "the index itself is given them"
        assert other.faults.seen.total() > 0, f"the other host is asked\n{done.stderr}"
        assert other.faults.authorized.total() == 0
    done.must_pass()
    assert locked.locks() == before
    assert "secret" not in done.stderr
