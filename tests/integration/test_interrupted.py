"""Ctrl-C at any moment, SIGTERM, and two at the same time: nothing half-written, nobody left running, the next run works."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from built import docker
from command import Done, Running, started, wait_until
from loopback import Proxy
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, wheel_name, write_profile

GAMMA_WHEEL = f"/{wheel_name(GAMMA)}"
AT_ONCE = 15.0
"""Seconds an interrupted command may take; the servers here keep silent for as long as the test lasts."""

Stop = Callable[[Running], None]
STOPS: dict[str, tuple[Stop, int]] = {
    "ctrl-c": (Running.interrupt, 128 + signal.SIGINT),
    "sigterm": (Running.terminate, 128 + signal.SIGTERM),
}


@pytest.fixture(params=list(STOPS))
def stop(request: pytest.FixtureRequest) -> Callable[[Running], None]:
    """Ends a command in one of the ways, and looks at how it went and what it left running."""
    way, code = STOPS[request.param]

    def stop_it(running: Running) -> None:
        before = time.monotonic()
        way(running)
        done = running.end(AT_ONCE)
        assert time.monotonic() - before < AT_ONCE
        wait_until(lambda: not running.left_behind(), f"nobody runs on: {running.left_behind()}", patience=10)
        check_words(done, code)

    return stop_it


def check_words(done: Done, code: int) -> None:
    assert done.code == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("interrupted; "), done.stderr
    assert done.stderr.count("interrupted") == 1


def command(site: Site, *arguments: str, tmp_path: Path) -> AbstractContextManager[Running]:
    return started(*arguments, cwd=site.project, env=site.env, output=tmp_path / "output")


def test_while_the_resolver_asks(locked: Site, index: Proxy, stop: Stop, tmp_path: Path) -> None:
    before = locked.locks()
    write_profile(locked.project, requirements=[ALPHA])
    page = f"/{BETA}/"
    index.faults.stall(page)
    with command(locked, "lock", "tiny", tmp_path=tmp_path) as running:
        running.wait_for(lambda: index.faults.requests(page) > 0, "the resolver asks")
        assert any("uv pip compile" in line for line in running.left_behind())
        stop(running)
    assert locked.locks() == before

    index.faults.clear()
    locked.envgen("lock", "tiny").must_pass()
    assert locked.locks() != before


def test_while_a_wheel_arrives_for_a_lock(locked: Site, index: Proxy, stop: Stop, tmp_path: Path) -> None:
    before = locked.locks()
    index.faults.stall(GAMMA_WHEEL)
    with command(locked, "lock", "tiny", tmp_path=tmp_path) as running:
        running.wait_for(lambda: index.faults.requests(GAMMA_WHEEL) > 0, "the wheel is asked for")
        stop(running)
    assert locked.locks() == before
    assert wheel_name(GAMMA) not in locked.kept()


def test_while_wheels_are_fetched_for_a_build(image: Site, index: Proxy, tag: str, stop: Stop, tmp_path: Path) -> None:
    before = image.locks()
    index.faults.stall(GAMMA_WHEEL)
    build = ("build", "tiny", "--no-smoke", "--tag", tag, *base_arguments())
    with command(image, *build, tmp_path=tmp_path) as running:
        others = {wheel_name(ALPHA), wheel_name(BETA)}
        running.wait_for(lambda: others <= set(image.kept()) and index.faults.requests(GAMMA_WHEEL) > 0, "all but one are there")
        stop(running)
    assert wheel_name(GAMMA) not in image.kept()
    assert image.locks() == before
    assert not docker("image", "ls", "--quiet", tag)

    # What is on its way without end must not be taken for a lock that somebody holds.
    index.faults.clear()
    image.envgen(*build).must_pass()


def test_while_the_image_is_built(image: Site, tag: str, stop: Stop, tmp_path: Path) -> None:
    build = ("build", "tiny", "--no-smoke", "--tag", tag, *base_arguments())
    with command(image, *build, "--no-cache", tmp_path=tmp_path) as running:
        running.wait_for(lambda: any("buildx build" in line for line in running.left_behind()), "buildx builds")
        stop(running)
    assert not list(image.store.glob(".partial/envgen-*"))
    assert not docker("image", "ls", "--quiet", tag)
    image.envgen(*build).must_pass()


@pytest.fixture
def tagged(image: Site, tag: str) -> Iterator[str]:
    """An image that is built; no container of it is left after the test."""
    image.envgen("build", "tiny", "--no-smoke", "--tag", tag, *base_arguments()).must_pass()
    yield tag
    assert not docker("container", "ls", "--all", "--quiet", "--filter", f"ancestor={tag}")


def test_while_the_image_is_tested(image: Site, tagged: str, stop: Stop, tmp_path: Path) -> None:
    with command(image, "smoke", "tiny", "--image", tagged, tmp_path=tmp_path) as running:
        running.wait_for(lambda: docker("container", "ls", "--all", "--quiet", "--filter", f"ancestor={tagged}") != "", "a container")
        stop(running)


def test_an_image_whose_test_was_cut_short_is_said_not_to_be_tested(image: Site, tag: str, stop: Stop, tmp_path: Path) -> None:
    folder = {"HF_HOME": str(tmp_path / "hf")}
    build = ("build", "tiny", "--tag", tag, *base_arguments())
    with command(image, *build, tmp_path=tmp_path) as running:
        running.wait_for(lambda: docker("container", "ls", "--all", "--quiet", "--filter", f"ancestor={tag}") != "", "a container")
        stop(running)
    said = f"{tag}: NOT tested on this machine: envgen smoke tiny --image {tag}"
    assert said.replace(": NOT", " is built, but NOT") in (tmp_path / "output").read_text()
    assert said in image.envgen("run", "tiny", "--image", tag, "--", "true", **folder).must_pass().stderr


def test_an_image_that_was_tested_is_run_without_a_word(image: Site, tag: str, tmp_path: Path) -> None:
    folder = {"HF_HOME": str(tmp_path / "hf")}
    image.envgen("build", "tiny", "--no-smoke", "--tag", tag, *base_arguments()).must_pass()
    run = ("run", "tiny", "--image", tag, "--", "true")
    assert "NOT tested on this machine" in image.envgen(*run, **folder).must_pass().stderr
    image.envgen("smoke", "tiny", "--image", tag).must_pass()
    assert "warning" not in image.envgen(*run, **folder).must_pass().stderr


def test_two_locks_at_the_same_time(locked: Site, index: Proxy, tmp_path: Path) -> None:
    before = locked.locks()
    write_profile(locked.project, requirements=[ALPHA])
    locked.envgen("lock", "tiny").must_pass()
    fewer = locked.locks()
    write_profile(locked.project)
    with (
        started("lock", "tiny", cwd=locked.project, env=locked.env, output=tmp_path / "one") as one,
        started("lock", "tiny", cwd=locked.project, env=locked.env, output=tmp_path / "two") as two,
    ):
        ends = [one.end(), two.end()]
    assert [(done.code, done.stderr) for done in ends if done.code] == []
    assert locked.locks() == before != fewer


def test_two_builds_at_the_same_time(image: Site, index: Proxy, tag: str, tmp_path: Path) -> None:
    build = ("build", "tiny", "--no-smoke", "--json", "--tag", tag, *base_arguments())
    with (
        started(*build, "--no-cache", cwd=image.project, env=image.env, output=tmp_path / "one") as one,
        started(*build, "--no-cache", cwd=image.project, env=image.env, output=tmp_path / "two") as two,
    ):
        ends = [one.end(), two.end()]
    assert [(done.code, done.stderr) for done in ends if done.code] == []
    digests = {json.loads(done.stderr)["image"]["digest"] for done in ends}
    assert len(digests) == 1
    assert index.faults.requests(GAMMA_WHEEL) == 1, "one of them fetches a wheel, the other waits for it"
