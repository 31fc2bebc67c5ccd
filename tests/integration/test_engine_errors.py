"""No engine, one that can't do the work, and bases that don't fit: each is said before a build starts, with a cure."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from built import docker
from command import program, wait_until
from loopback import LOOPBACK, Proxy, free_port
from tiny import ALPHA, BETA, Site, base_name, make_wheel, write_profile

MOUNTING = "these tests start an engine and mount file systems of their own: run them as root"
PLUGINS = tuple(f"{prefix}/{folder}/docker/cli-plugins" for prefix in ("/usr", "/usr/local") for folder in ("libexec", "lib"))
BUILD = ("build", "tiny", "--no-smoke")


def test_no_engine_at_the_address(image: Site, tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/docker.sock"
    image.envgen(*BUILD, DOCKER_HOST=socket).must_fail(5, socket, "hint:  start Docker (sudo systemctl start docker)")


def test_an_address_that_is_none(image: Site) -> None:
    image.envgen(*BUILD, DOCKER_HOST="nonsense").must_fail(5, "nonsense", "hint:  ")


def test_no_docker_command(image: Site, tmp_path: Path) -> None:
    done = image.envgen(*BUILD, PATH=str(tmp_path))
    done.must_fail(5, "no docker command on PATH", "hint:  install the Docker CLI with buildx")


def test_a_docker_command_without_buildx(image: Site, tmp_path: Path) -> None:
    """In a mount namespace where the folders of its plug-ins are empty."""
    folders = [folder for folder in PLUGINS if Path(folder, "docker-buildx").exists()]
    assert folders, "docker-buildx is in no folder that is known here"
    script = "".join(f"mount -t tmpfs tmpfs {folder} && " for folder in folders) + 'exec "$@"'
    env = os.environ | dict(image.env) | {"DOCKER_CONFIG": str(tmp_path)}
    command = ["unshare", "--mount", "sh", "-c", script, "sh", program(), *BUILD]
    done = subprocess.run(command, cwd=image.project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 5, f"{done.stderr}\n{MOUNTING}"
    assert "error: docker buildx: not installed" in done.stderr
    assert "hint:  install the package docker-buildx" in done.stderr


@pytest.fixture
def plain_engine() -> Iterator[str]:
    """An engine whose images are in a store of its own, not containerd's; it shares no network with the one that is in use."""
    assert os.geteuid() == 0, MOUNTING
    dockerd = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert dockerd, "dockerd is missing: python3 tests/machine installs docker.io"
    # Without a bridge of its own it would take that of the other engine away.
    bridge = f"envgen-t{os.getpid()}"[:15]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    with tempfile.TemporaryDirectory(prefix="envgen-engine-") as folder:
        host = f"unix://{folder}/docker.sock"
        command = [dockerd, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid", "--host", host]
        command += ["--config-file", f"{folder}/daemon.json", "--bridge", bridge]
        command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        Path(folder, "daemon.json").write_text('{"features": {"containerd-snapshotter": false}}')
        ip = shutil.which("ip", path=path) or "ip"
        subprocess.run([ip, "link", "add", bridge, "type", "bridge"], check=True)
        try:
            with Path(folder, "log").open("wb") as log:
                process = subprocess.Popen(command, env=os.environ | {"PATH": path}, stdout=log, stderr=subprocess.STDOUT)
            try:
                wait_until(lambda: process.poll() is not None or engine_answers(host), "the second engine answers")
                assert process.poll() is None, Path(folder, "log").read_text()
                yield host
            finally:
                process.terminate()
                process.wait(30)
        finally:
            subprocess.run([ip, "link", "delete", bridge], check=True)


def engine_answers(host: str) -> bool:
    done = subprocess.run(["docker", "version"], env=os.environ | {"DOCKER_HOST": host}, capture_output=True, check=False)
    return done.returncode == 0


def test_an_engine_without_containerds_image_store(image: Site, plain_engine: str) -> None:
    done = image.envgen(*BUILD, DOCKER_HOST=plain_engine)
    done.must_fail(5, "expected containerd's", '{"features": {"containerd-snapshotter": true}}', "/etc/docker/daemon.json")
    assert "wheels:" not in done.stderr, "the wheels were fetched for nothing"


def test_a_base_that_does_not_exist(image: Site, tag: str) -> None:
    done = image.envgen(*BUILD, "--tag", tag, "--base", "envgen-tests/no-such-base:1")
    done.must_fail(6, "--base envgen-tests/no-such-base:1", "hint:  pull it first: docker pull envgen-tests/no-such-base:1")


def test_a_locked_base_that_can_not_be_pulled(image: Site, tag: str) -> None:
    base = f"{LOOPBACK}:{free_port()}/python:3.11@sha256:{'0' * 64}"
    write_profile(image.project, base=base, own_index=True)
    image.envgen("lock", "tiny").must_pass()
    image.envgen(*BUILD, "--tag", tag).must_fail(6, base, "hint:  the base can't be pulled: check the network, or build on a local image")
    assert not docker("image", "ls", "--quiet", tag)


def test_a_base_without_the_locked_minor_version(image: Site, tag: str, tmp_path: Path) -> None:
    dockerfile = f'FROM {base_name()}\nUSER root\nRUN rm -f "$(command -v python3.11)"\n'
    (tmp_path / "Dockerfile").write_text(dockerfile)
    other = f"{tag}-base"
    try:
        command = ["buildx", "build", "--builder", "default", "--provenance=false", "--load", "--tag", other]
        docker(*command, "--file", tmp_path / "Dockerfile", image.project)
        done = image.envgen(*BUILD, "--tag", tag, "--base", other)
        done.must_fail(6, f"--base {other}", "has no python3.11", "hint:  use a base with Python 3.11")
    finally:
        docker("image", "rm", "--force", other)


def test_a_base_whose_python_wants_other_packages(image: Site, index: Proxy, tiny_wheels: Path, tag: str) -> None:
    """The lock is for Python 3.11.0, where beta is not wanted; the base has a later one, where it is."""
    name = "envgen-tiny-delta"
    make_wheel(tiny_wheels, name, requires=[f'{BETA}; python_full_version >= "3.11.1"'])
    base = f"registry.example/python:3.11.0@sha256:{'0' * 64}"
    profile = write_profile(image.project, requirements=[name], base=base, full="3.11.0", own_index=True)
    profile.write_text(profile.read_text().replace(f'"{ALPHA}"', f'"{name}", "{ALPHA}"'))
    image.envgen("lock", "tiny").must_pass()
    before = image.locks()
    assert not any(f'name = "{BETA}"'.encode() in content for content in before.values())
    done = image.envgen(*BUILD, "--tag", tag, "--base", base_name())
    done.must_fail(6, "--base", "instead of 3.11.0", BETA, "hint:  use a base with the locked Python")
    assert "buildx build" not in done.stderr
    assert not docker("image", "ls", "--quiet", tag)
    assert image.locks() == before
