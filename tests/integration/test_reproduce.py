"""`envgen reproduce` on tiny images: what is the same passes, what is not is named, and nothing is left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from built import TARGET, docker, inspect
from command import Done, started
from registry import Registry
from tiny import Site, base_arguments, base_name

from envgen.image.layer_record import RECORD_FILE, dump_records, parse_records
from envgen.profiles.catalog import shipped

NOTHING = f"sha256:{'0' * 64}"
"""A digest of nothing that there is."""

TOUCH = "find /out -exec touch -h -d @{{ epoch }} {} +\nEOF\n{% endfor %}"
"""The end of every layer's stage in the template."""


def reproduce(site: Site, *arguments: str, **env: str) -> Done:
    return site.envgen("reproduce", "tiny", "--json", *base_arguments(), *arguments, **env)


def report(done: Done, code: int = 0) -> dict[str, Any]:
    assert done.code == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def build(site: Site, tag: str, *arguments: str) -> Done:
    return site.envgen("build", "tiny", "--no-smoke", "--json", "--tag", tag, *base_arguments(), *arguments)


def change_recipe(site: Site, line: str) -> None:
    """Give the project a template of its own whose layers' stages do something more."""
    template = (shipped() / "templates" / "Dockerfile.j2").read_text()
    assert template.count(TOUCH) == 1
    (site.project / "templates").mkdir()
    (site.project / "templates" / "Dockerfile.j2").write_text(template.replace(TOUCH, f"{line}\n{TOUCH}"))
    site.envgen("lock", "tiny").must_pass()


def temporary_tags() -> list[str]:
    return docker("image", "ls", "--quiet", "envgen-reproduce/tiny").split()


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does, no image and no temporary file stays."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert not temporary_tags()
    assert not list(folder.iterdir())


def test_two_builds_are_the_same(image: Site, tag: str) -> None:
    found = report(reproduce(image))
    assert (found["same"], found["differences"], found["causes"]) == (True, [], [])
    assert found["digest"] == found["other"]["digest"] == json.loads(build(image, tag).must_pass().stdout)["image"]["digest"]
    assert len(found["seconds"]) == 2
    about = found["depends_on"]
    assert about["base"] == base_name()
    assert about["compression"] == "zstd"
    assert all(about[name] for name in ("lock", "python", "engine", "buildx", "buildkit"))
    assert about["lock"] == inspect(tag)["Config"]["Labels"]["envgen.lock"]
    assert "host name of RUN steps" in found["varied"]
    assert found["recorded"]["headline"] == f"layers: not compared: no record for Python {about['python']}"


def test_what_a_layer_says_of_its_surroundings_is_found(image: Site) -> None:
    see = "cat /proc/sys/kernel/hostname > /out/opt/host; echo ${no_proxy} > /out/opt/proxy; date +%s%N > /out/opt/when"
    change_recipe(image, f"{see}; touch /out/opt/$(cut -c1-8 /proc/sys/kernel/random/uuid).only")
    found = report(reproduce(image), 8)
    assert not found["same"]
    assert {entry["layer"] for entry in found["differences"]} == {"libraries"}
    assert sorted((re.sub(r"\w{8}\.only", "only", entry["path"]), entry["what"]) for entry in found["differences"]) == [
        ("opt/host", "content"),
        ("opt/only", "only in the first"),
        ("opt/only", "only in the second"),
        ("opt/proxy", "content"),
        ("opt/when", "content"),
    ]


def test_an_image_with_one_file_changed(image: Site, tmp_path: Path, tag: str) -> None:
    other = image.copy(tmp_path / "elsewhere")
    change_recipe(other, "chmod 0600 /out/opt/venv/lib/python3.11/site-packages/envgen_tiny_alpha/__init__.py")
    build(other, tag).must_pass()
    found = report(reproduce(image, "--against", tag), 8)
    assert found["other"] == {"name": tag, "digest": inspect(tag)["Id"]}
    assert found["differences"] == [
        {
            "layer": "libraries",
            "path": "opt/venv/lib/python3.11/site-packages/envgen_tiny_alpha/__init__.py",
            "what": "mode",
            "first": "0644",
            "second": "0600",
        }
    ]
    assert found["causes"] == []
    assert len(found["seconds"]) == 1
    assert found["varied"] == []


def test_an_archive_and_a_digest(image: Site, tmp_path: Path, tag: str) -> None:
    build(image, tag).must_pass()
    archive = tmp_path / "image.tar"
    docker("save", "--output", archive, tag)
    digest = inspect(tag)["Id"]
    for name in (str(archive), digest):
        found = report(reproduce(image, "--against", name))
        assert (found["same"], found["other"]) == (True, {"name": name, "digest": digest})
    found = report(reproduce(image, "--against", NOTHING), 8)
    assert (found["other"]["digest"], found["differences"]) == (NOTHING, [])


def test_another_compression_is_the_likely_cause(image: Site, tag: str) -> None:
    build(image, tag, "--compression", "gzip").must_pass()
    found = report(reproduce(image, "--against", tag), 8)
    assert "the other image has gzip layers, this one zstd" in found["causes"]
    assert {entry["what"] for entry in found["differences"] if entry["layer"]} == {"compression only"}
    assert report(reproduce(image, "--against", tag, "--compression", "gzip"))["same"]


def test_another_lock_is_the_likely_cause(image: Site, tmp_path: Path, tag: str) -> None:
    other = image.copy(tmp_path / "elsewhere")
    path = other.project / "profiles" / "tiny.toml"
    path.write_text(path.read_text().replace("Tiny wheels", "Tiny wheels of another day"))
    other.envgen("lock", "tiny").must_pass()
    build(other, tag).must_pass()
    done = image.envgen("reproduce", "tiny", *base_arguments(), "--against", tag)
    assert done.code == 8
    assert f"NOT THE SAME as {tag}" in done.stdout
    assert "likely cause: the other image was built from another lock: sha256:" in done.stdout
    assert "  configuration: config.Labels.org.opencontainers.image.description: Tiny wheels / Tiny wheels of another day" in done.stdout


def test_an_image_is_pulled_from_a_registry_and_removed_again(image: Site, registry: Registry, tag: str) -> None:
    digest = json.loads(build(image, tag).must_pass().stdout)["image"]["digest"]
    theirs = f"{registry.address}/company/tiny:1"
    docker("tag", tag, theirs)
    docker("push", "--quiet", theirs)
    docker("image", "rm", theirs)
    for name in (f"{registry.address}/company/tiny@{digest}", "company/tiny:1"):
        found = report(reproduce(image, "--against", name, **registry.env))
        assert (found["same"], found["other"]) == (True, {"name": name, "digest": digest})
        assert not docker("image", "ls", "--quiet", f"{registry.address}/company/tiny").strip()
    done = reproduce(image, "--against", "company/tiny:2", **registry.env)
    done.must_fail(5, f"--against company/tiny:2: {registry.address}/company/tiny:2: its registry has no such tag")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("No Name", 2, ("No Name: not a valid image name",)), ("profiles/tiny.toml", 8, ("can't be read as an archive",))],
)
def test_what_is_no_image_is_said_before_anything_is_built(image: Site, name: str, code: int, words: tuple[str, ...]) -> None:
    done = reproduce(image, "--against", name)
    done.must_fail(code, *words)
    assert "build in" not in done.stderr


def test_layers_are_recorded_and_a_wrong_record_stops_a_build(image: Site, tag: str) -> None:
    path = image.project / "locks" / "tiny" / TARGET / RECORD_FILE
    done = report(reproduce(image, "--record"))
    python = done["depends_on"]["python"]
    line = f"layers: 1 of 1 as recorded for Python {python}"
    assert done["recorded"]["headline"] == line
    built = build(image, tag).must_pass()
    built_report = json.loads(built.stdout)
    assert built_report["recorded"]["headline"] == line
    assert built_report["built_with"].startswith("Docker ")
    assert built_report["built_with"].endswith(", zstd")
    before = path.read_bytes()
    image.envgen("lock", "tiny").must_pass()
    image.envgen("lock", "--check", "tiny").must_pass()
    assert path.read_bytes() == before

    records = parse_records(before, "", "tiny")
    found = records[python].layers["libraries"].diff_id
    path.write_bytes(before.replace(found.encode(), NOTHING.encode()))
    build(image, tag).must_fail(4, RECORD_FILE, "edited by hand")
    layers = {"libraries": replace(records[python].layers["libraries"], diff_id=NOTHING)}
    path.write_bytes(dump_records("tiny", {python: replace(records[python], layers=layers)}))
    build(image, tag).must_fail(8, RECORD_FILE, f"libraries: recorded {NOTHING}, built {found}", "hint:  ", "envgen reproduce tiny")
    text = image.envgen("reproduce", "tiny", *base_arguments(), "--against", tag)
    assert text.code == 8
    assert f"the same as {tag}" in text.stdout
    assert f"libraries: NOT as recorded\n  libraries: recorded {NOTHING}, built {found}" in text.stdout
    assert report(reproduce(image, "--record"))["recorded"]["headline"] == line
    assert path.read_bytes() == before


def test_builds_that_differ_are_not_recorded(image: Site) -> None:
    change_recipe(image, "date +%s%N > /out/opt/when")
    report(reproduce(image, "--record"), 8)
    assert not list(image.project.rglob(RECORD_FILE))


def test_a_record_is_the_project_s_own(tmp_path: Path, image: Site) -> None:
    done = image.envgen("reproduce", "cpu-base", "--record")
    done.must_fail(2, "--record: the lock is <envgen>/locks/cpu-base", "envgen lock cpu-base")
    reproduce(image, "--record", "--against", "x").must_fail(2, "--record", "remove --against")


@pytest.mark.parametrize("end", ["interrupt", "terminate"])
def test_an_interruption_leaves_nothing(image: Site, tmp_path: Path, end: str) -> None:
    command = ("reproduce", "tiny", *base_arguments())
    with started(*command, cwd=image.project, env=image.env, output=tmp_path / "output") as running:
        running.wait_for(lambda: bool(temporary_tags()), "the first image is there")
        getattr(running, end)()
        done = running.end()
        assert done.code in (130, 143), done.stderr
        assert "Traceback" not in done.stderr
        assert not running.left_behind()
