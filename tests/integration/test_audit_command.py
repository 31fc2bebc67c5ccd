"""`envgen audit`: a clean image passes, and whatever was put on top of it or changed in its configuration is named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest
from built import Base, docker, remove_images
from command import envgen, started
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, module_of

SITE = "opt/venv/lib/python3.11/site-packages"
ALPHA_SOURCE, BETA_SOURCE, GAMMA_DATA = (
    f"{SITE}/{module_of(name)}/{file}" for name, file in ((ALPHA, "__init__.py"), (BETA, "__init__.py"), (GAMMA, "data.bin"))
)
BETA_BYTE_CODE = f"{SITE}/{module_of(BETA)}/__pycache__/__init__.cpython-311.pyc"

Derive = Callable[[str], str]

# Runs in the build of a derived image, as root: each change is one that would do harm, and hides its time.
TAMPER = f"""
import marshal, os, pathlib, stat
source, byte_code, gone, added, program = map(pathlib.Path, (
    "/{ALPHA_SOURCE}", "/{BETA_BYTE_CODE}", "/{GAMMA_DATA}", "/{SITE}/evil.pth", "/opt/venv/tool"))
source.write_text("VERSION = '6.6'\\n")
header = byte_code.read_bytes()[:16]
evil = compile("VERSION = '6.6'", "/{BETA_SOURCE}", "exec")
byte_code.write_bytes(header + marshal.dumps(evil))
gone.unlink()
added.write_text("import os\\n")
program.write_text("#!/bin/sh\\n")
program.chmod(0o4755)
for path in (source, byte_code, added, program):
    os.utime(path, (315532800, 315532800))
"""
WRAPPER = r"printf '#!/bin/sh\nexec /usr/bin/real \"$@\"\n'"


@pytest.fixture(scope="module")
def at_hand(base: Base) -> None:
    """The base is in the engine's store under its own name, which a build alone does not see to."""
    if not base.stand_in:
        docker("pull", base.image)


@pytest.fixture(scope="module")
def built(image_site: Site, at_hand: None) -> Iterator[str]:
    """The tiny image, as envgen builds it."""
    tag = f"envgen-tests/audit:{os.getpid()}"
    image_site.envgen("build", "tiny", "--no-smoke", "--tag", tag, *base_arguments()).must_pass()
    yield tag
    remove_images(tag)


@pytest.fixture
def derive(built: str, tmp_path: Path, tag: str) -> Derive:
    """Makes an image from the tiny one by more instructions of a Dockerfile."""

    def make(instructions: str) -> str:
        folder = tmp_path / "derived"
        folder.mkdir()
        (folder / "tamper.py").write_text(TAMPER)
        (folder / "Dockerfile").write_text(f"FROM {built}\n{instructions}\n")
        docker("buildx", "build", "--provenance=false", "--output", f"type=image,name={tag}", folder)
        return tag

    return make


def audit(site: Site, image: str, **env: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    done = site.envgen("audit", "tiny", "--json", "--image", image, **env)
    assert done.stdout, done.stderr
    return done.code, json.loads(done.stdout)


def said(report: dict[str, Any]) -> list[str]:
    return [": ".join(finding[key] for key in ("part", "layer", "path", "problem") if finding[key]) for finding in report["findings"]]


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {part["name"]: part["status"] for part in report["parts"]}


def test_a_clean_image_passes_without_a_network(image_site: Site, built: str, base: Base) -> None:
    gone = f"http://{loopback.LOOPBACK}:{loopback.free_port()}"
    indexes = dict.fromkeys(("ENVGEN_INDEX_TINY", "ENVGEN_INDEX_DEFAULT"), gone)
    done = image_site.envgen("audit", "tiny", "--image", built, **indexes).must_pass()
    first, *_, last = done.stdout.strip().splitlines()
    note = "not the locked base; " if base.stand_in else ""
    assert first == f"audit tiny py311-linux-amd64: {note}nothing found"
    assert last == f"audit tiny: passed ({note}nothing found)"
    assert "3 sources compiled again, all equal" in done.stdout


def test_every_change_of_a_file_is_named(image_site: Site, derive: Derive) -> None:
    code, report = audit(
        image_site, derive("USER 0\nRUN --network=none --mount=type=bind,target=/change python -I -S /change/tamper.py\nUSER 10001:10001")
    )
    assert (code, report["verdict"]) == (8, "FAILED")
    found = said(report)
    layers = [line for line in found if line.startswith("layers: 5 (sha256:")]
    for path, what in {
        ALPHA_SOURCE: "a file of mode 644",
        BETA_BYTE_CODE: "a file of mode 644",
        f"{SITE}/evil.pth": "a file of mode 644",
        "opt/venv/tool": "a file of mode 4755",
        GAMMA_DATA.replace("data.bin", ".wh.data.bin"): "a whiteout",
    }.items():
        assert [line for line in layers if f": {path}: {what}" in line], (path, layers)
    assert [line for line in found if line.startswith(f"byte code: {BETA_BYTE_CODE}: not what this Python compiles from its source")]
    assert [line for line in found if line.startswith("byte code: ") and module_of(ALPHA) in line and "another source" in line]
    assert {name for name, status in statuses(report).items() if status == "failed"} == {"layers", "byte code"}


def test_another_interpreter_is_found(image_site: Site, derive: Derive) -> None:
    swap = "p=$(readlink -f /opt/venv/bin/python) && mv $p /usr/bin/real && " + WRAPPER + " > $p && chmod 755 $p"
    code, report = audit(image_site, derive(f"USER 0\nRUN {swap}\nUSER 10001:10001"))
    assert code == 8
    found = said(report)
    assert [line for line in found if "bin/python3.11: a file of mode 755" in line and "a layer that the Dockerfile does not make" in line]
    assert [line for line in found if ": usr/bin/real: " in line]
    assert statuses(report)["byte code"] == "passed", "it was compiled by another Python than that of the image"


def test_a_changed_configuration_is_found(image_site: Site, derive: Derive) -> None:
    change = 'ENV LD_PRELOAD=/tmp/evil.so\nLABEL envgen.as-of=2020-01-01\nENTRYPOINT ["/bin/sh"]\nUSER 0'
    code, report = audit(image_site, derive(change))
    assert code == 8
    assert said(report) == [
        "configuration: label envgen.as-of is 2020-01-01 (expected 2026-09-22T00:00:00Z)",
        "configuration: variable LD_PRELOAD=/tmp/evil.so, which neither the Dockerfile nor the base sets",
        "configuration: Cmd is None (expected ['python'])",
        "configuration: Entrypoint is ['/bin/sh'] (expected None)",
        "configuration: User is '0' (expected '10001:10001')",
    ]


def test_an_image_of_another_lock_is_refused(image_site: Site, derive: Derive) -> None:
    image = derive(f"LABEL envgen.lock=sha256:{'0' * 64}")
    done = image_site.envgen("audit", "tiny", "--image", image)
    done.must_fail(8, image, "label envgen.lock: found an image built from lock sha256:000000000000", "envgen build tiny")


def test_an_archive_without_an_engine_is_compared_but_for_what_needs_one(image_site: Site, built: str, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    docker("image", "save", "--output", archive, built)
    assert audit(image_site, str(archive))[0] == 0
    code, report = audit(image_site, str(archive), DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert (code, report["verdict"], said(report)) == (8, "INCOMPLETE", [])
    assert report["headline"].startswith("NOT COMPARED: configuration; NOT COMPARED: base; NOT COMPARED: byte code; ")
    assert statuses(report)["files"] == "passed"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    image_site.envgen("audit", "tiny", "--image", str(archive)).must_fail(8, str(archive))


def test_what_is_no_image_is_said(image_site: Site, at_hand: None) -> None:
    image_site.envgen("audit", "tiny", "--image", "envgen-tests/none").must_fail(2, "no such image", "envgen build tiny")
    image_site.envgen("audit", "tiny", "--image", "No Name").must_fail(2, "No Name", "hint:  ")


def test_missing_wheels_are_to_be_fetched(image: Site, built: str) -> None:
    image.envgen("audit", "tiny", "--image", built).must_fail(8, "3 of 3 wheels are not in the wheel store", "envgen fetch tiny")


def test_an_interrupted_audit_leaves_nothing(image_site: Site, built: str, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    env = {**image_site.env, "TMPDIR": str(folder)}
    with started("audit", "tiny", "--image", built, cwd=image_site.project, env=env, output=tmp_path / "output") as running:
        running.wait_for(lambda: any(folder.iterdir()), "the image is being saved")
        running.interrupt()
        done = running.end()
    assert done.code == 130, done.stderr
    assert not list(folder.iterdir())


def test_the_image_of_the_shipped_profile_passes(cpu_base: dict[str, Any], cache: Path, at_hand: None, tmp_path: Path) -> None:
    begun = time.monotonic()
    done = envgen("audit", "cpu-base", "--json", "--image", cpu_base["image"]["name"], cwd=tmp_path, env={"ENVGEN_CACHE": str(cache)})
    print(f"audit of cpu-base: {time.monotonic() - begun:.0f} s")
    report = json.loads(done.must_pass().stdout)
    assert (report["verdict"], report["findings"]) == ("passed", [])
