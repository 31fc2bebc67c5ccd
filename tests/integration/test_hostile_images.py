"""Images that would pass for good ones: by their entrypoint, their environment, their labels, or a good one's tag."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from built import docker, inspect, remove_images, results
from command import started
from tiny import Site, base_arguments, base_name, locked_base

PACKAGES = "/opt/venv/lib/python3.11/site-packages"
EVIL = f'USER 0\nRUN --network=none ["/bin/sh", "-c", "echo import sys > {PACKAGES}/evil.pth"]\nUSER 10001:10001\n'

# Answers every phase with a plan of nothing, or of all that a good image reports.
FAKE = """#!/bin/sh
for phase; do :; done
echo '{"plan": []}'
echo '{"check": "fake", "status": "passed", "seconds": 0.1, "peak_memory": 1, "detail": "", "error": ""}'
echo "{\\"end\\": \\"$phase\\"}"
"""

Derive = Callable[..., str]


@pytest.fixture
def good(image: Site, tag: str) -> str:
    """The tiny image."""
    image.envgen("build", "tiny", "--tag", tag, *base_arguments()).must_pass()
    return tag


@pytest.fixture
def derive(good: str, tmp_path: Path) -> Iterator[Derive]:
    """Makes an image on top of the tiny one, or of another `base`, by these lines of a Dockerfile; all are removed in the end."""
    made: list[str] = []

    def make(lines: str, base: str = good, **files: str) -> str:
        folder = tmp_path / f"context-{len(made)}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "Dockerfile").write_text(f"FROM {base}\n{lines}\n")
        made.append(f"envgen-tests/hostile-{len(made)}:{os.getpid()}")
        docker("buildx", "build", "--quiet", "--provenance=false", "--output", f"type=image,name={made[-1]}", folder)
        return made[-1]

    yield make
    remove_images(*made)


def smoke(site: Site, name: str, code: int) -> dict[str, Any]:
    """The report of a smoke test that ends with `code`."""
    done = site.envgen("smoke", "tiny", "--json", "--image", name)
    assert done.code == code, f"{done.code}\n{done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)["smoke"]
    return found


def failed(report: dict[str, Any]) -> set[str]:
    return {name for name, found in results(report).items() if found["status"] == "failed"}


def test_an_entrypoint_does_not_answer_for_the_probe(image: Site, derive: Derive) -> None:
    report = smoke(image, derive(f'{EVIL}COPY fake /fake\nENTRYPOINT ["/fake"]\nHEALTHCHECK --interval=1s CMD touch /tmp/x', fake=FAKE), 7)
    assert report["verdict"] == "FAILED"
    assert "evil.pth" in results(report)["foreign-files"]["detail"]
    assert failed(report) == {"foreign-files", "mtimes"}


def test_a_python_that_answers_for_the_probe_is_not_asked(image: Site, derive: Derive) -> None:
    report = smoke(image, derive(f"{EVIL}COPY python /evil/python\nENV PATH=/evil:$PATH", python=FAKE), 7)
    assert failed(report) == {"foreign-files", "mtimes"}


def test_an_image_that_lies_to_the_probe_must_know_the_plan(image: Site, derive: Derive) -> None:
    """The interpreter itself is the image's: what it says can be a lie, but not that there was nothing to say."""
    report = smoke(image, derive("USER 0\nCOPY python /opt/venv/bin/python\nUSER 10001:10001", python=FAKE), 7)
    assert {found["status"] for found in report["results"]} == {"failed"}
    assert results(report)["files"]["detail"] == "the probe did not report it"
    assert results(report)["static-files"]["detail"] == "the probe reported what is not in the plan: fake"


def test_the_environment_of_an_image_does_not_reach_a_probe(derive: Derive, tmp_path: Path) -> None:
    from envgen.core.settings import read_settings
    from envgen.engine import RunRequest
    from envgen.engine.docker.engine import DockerEngine

    name = derive('ENV LD_PRELOAD=/evil.so PYTHONPATH=/evil MALLOC_CHECK_=3 EMPTY=\nENTRYPOINT ["/bin/echo"]\nHEALTHCHECK CMD true')
    engine = DockerEngine(read_settings(os.environ, tmp_path))
    found = engine.image(name)
    assert found is not None
    assert (found.environment["LD_PRELOAD"], found.environment["EMPTY"]) == ("/evil.so", "")
    lines: list[str] = []
    wanted = {"PATH": "/usr/bin:/bin", "OURS": "a=b", "PYTHONPATH": ""}
    request = RunRequest(image=found.digest, command=("env",), environment=wanted, clear_environment=True)
    assert engine.run(request, lines.append).code == 0
    said = dict(line.partition("=")[::2] for line in lines)
    assert {key: value for key, value in said.items() if key not in ("HOSTNAME", "HOME")} == wanted


def test_a_label_does_not_make_a_base_the_locked_one(image: Site, derive: Derive) -> None:
    """The engine has no such image: there is nothing to compare with, and the Python is another one where the lock's is not here."""
    base = locked_base()[0]
    forged = {"envgen.base.override": base, "org.opencontainers.image.base.name": base}
    report = smoke(image, derive("\n".join(f'LABEL {name}="{value}"' for name, value in forged.items())), 0)
    assert report["base"] == base
    if not docker("image", "ls", "--quiet", base).strip():
        assert report["base_matches"] is None
        assert report["overridden"] or "base as the image says, not checked" in report["headline"]


def test_a_base_that_the_engine_has_is_compared_layer_by_layer(image: Site, good: str, derive: Derive) -> None:
    other = derive("ENV X=1\nUSER 0\nRUN --network=none touch /x", base=base_name())
    digest = inspect(other)["Id"]
    forged = derive(f'LABEL envgen.base.override="{other.partition(":")[0]}@{digest}"')
    report = smoke(image, forged, 0)
    assert (report["base_matches"], report["overridden"]) == (False, True)
    assert "not the locked base" in report["headline"]
    assert smoke(image, good, 0)["base_matches"] is True


def test_a_tag_that_moves_on_changes_nothing(image: Site, good: str, derive: Derive, tmp_path: Path) -> None:
    bad, name = derive(EVIL), f"envgen-tests/moving:{os.getpid()}"
    digest = inspect(bad)["Id"]
    docker("tag", bad, name)
    try:
        output = tmp_path / "output"
        with started("smoke", "tiny", "--image", name, cwd=image.project, env=image.env, output=output) as running:
            # The image was looked up; the first container comes after this line.
            running.wait_for(lambda: running.said("memory: "), "the test begins")
            docker("tag", good, name)
            done = running.end(300)
    finally:
        remove_images(name)
    assert done.code == 7, done.stderr
    assert f"image {name} {digest}" in done.stderr
    assert "evil.pth" in done.stderr


def test_what_had_a_tag_once_still_runs_by_its_digest(image: Site, good: str, derive: Derive) -> None:
    """Also where nothing else names it any more."""
    from envgen.core.settings import read_settings
    from envgen.engine import RunRequest
    from envgen.engine.docker.engine import DockerEngine

    engine = DockerEngine(read_settings(os.environ, image.project))
    found = engine.image(derive("ENV WHO=first"))
    assert found is not None
    docker("tag", good, found.name)
    lines: list[str] = []
    order = RunRequest(image=found.digest, command=("/bin/sh", "-c", "echo $WHO"), environment={})
    assert (engine.run(order, lines.append).code, lines) == (0, ["first"])
    assert engine.image(found.digest) is not None
    engine.remove(found.digest)
