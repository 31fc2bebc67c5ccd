"""cpu-base, built by the real engine: what the report says, what is in the image, and that it is the same however it is built."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from built import LOCKED_DOWN, TARGET, Base, OneTier, diff_ids, docker, inspect, read_lock, shipped_lock
from command import envgen
from packaging.utils import canonicalize_name
from uv import find_uv_bin

Report = dict[str, Any]
PAGES = re.compile(r"(?m)^--find-links (?P<index>\S+)/torch/$")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NOTHING = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The layer without any file, which WORKDIR makes of a folder that is there."""

# What envgen gives buildx beside the context, so that not only layers but the manifest can be compared.
EXPORT = "compression=zstd,compression-level=3,oci-mediatypes=true"
EPOCH = "315532800"

INSIDE = """
import importlib.util, json, os, shutil, socket, sys
import torch, transformers

def refused(do):
    try:
        do()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return ""

print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "groups": os.getgroups(),
    "executable": sys.executable,
    "python": shutil.which("python"),
    "tools": [name for name in ("uv", "uvx", "gcc", "g++", "cc", "c++", "clang", "ld", "nvcc") if shutil.which(name)],
    "modules": [name for name in ("pip", "uv", "wheel") if importlib.util.find_spec(name)],
    "sum": float(torch.ones(3).sum()),
    "write": {path: refused(lambda: open(path + "/x", "w")) for path in ("/", "/opt/venv", "/home", "/var/tmp")},
    "home": os.path.expanduser("~"),
    "network": refused(lambda: socket.create_connection(("192.0.2.1", 80), timeout=5)),
    "left": [path for path in ("/wheels", "/installer", "/out", "/run/ca.pem", "/opt/venv/.lock", "/root/.cache") if os.path.lexists(path)],
    "transformers": transformers.__version__,
}))
"""


def groups() -> dict[str, list[dict[str, Any]]]:
    """The packages of the shipped lock by layer group, in the order of the layers."""
    lock = read_lock(shipped_lock())
    found = {name: [package for package in lock["package"] if package["layer"] == name] for name in lock["layers"]}
    return {name: packages for name, packages in found.items() if packages}


def test_every_check_passed_and_what_was_not_tested_comes_first(cpu_base: Report, base: Base) -> None:
    smoke = cpu_base["smoke"]
    assert {result["status"] for result in smoke["results"]} == {"passed"}
    assert {result["tier"] for result in smoke["results"]} == {"static", "cpu"}
    assert len(smoke["results"]) >= 20
    words = ["not tested by this profile: quant, gpu"]
    if base.stand_in:
        words.append("not the locked base")
    words.append(f"passed: {len(smoke['results'])} of {len(smoke['results'])}")
    assert smoke["headline"] == "; ".join(words)
    assert (smoke["base"], smoke["overridden"]) == (base.image, bool(base.stand_in))
    assert smoke["model"] == "embedded"


def test_the_reported_digest_is_the_manifest_s(cpu_base: Report) -> None:
    name, digest = cpu_base["image"]["name"], cpu_base["image"]["digest"]
    assert cpu_base["smoke"]["digest"] == digest
    found = inspect(name)
    assert found["Id"] == digest
    assert f"{name.rpartition(':')[0]}@{digest}" in found["RepoDigests"]
    assert cpu_base["image"]["size"] == found["Size"]
    manifest = saved_blob(name, digest)
    assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == digest
    assert len(json.loads(manifest)["layers"]) == len(found["RootFS"]["Layers"])


def saved_blob(image: str, digest: str) -> bytes:
    """A blob of an image, as the engine saves it."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.name == f"blobs/{digest.replace(':', '/')}":
                        file = archive.extractfile(member)
                        assert file is not None
                        return file.read()
        finally:
            process.kill()
    raise AssertionError(f"{digest} is not in what `docker save {image}` gives")


def test_it_runs_locked_down_with_nothing_in_it_that_only_the_build_needs(cpu_base: Report) -> None:
    found = json.loads(docker("run", *LOCKED_DOWN, cpu_base["image"]["name"], "python", "-c", INSIDE))
    versions = {package["name"]: package["version"] for packages in groups().values() for package in packages}
    assert found == {
        "user": [10001, 10001],
        "groups": [10001],
        "executable": "/opt/venv/bin/python",
        "python": "/opt/venv/bin/python",
        "tools": [],
        "modules": [],
        "sum": 3.0,
        "write": dict.fromkeys(("/", "/opt/venv", "/home", "/var/tmp"), "Read-only file system"),
        "home": "/tmp",
        "network": "Network is unreachable",
        "left": [],
        "transformers": versions["transformers"],
    }


def test_the_labels_say_what_it_was_made_from(cpu_base: Report, base: Base) -> None:
    folder = shipped_lock()
    lock = read_lock(folder)
    expected = {
        "org.opencontainers.image.title": "cpu-base",
        "org.opencontainers.image.description": lock["description"],
        "org.opencontainers.image.base.name": base.image,
        "envgen.profile": "cpu-base",
        "envgen.target": TARGET,
        "envgen.as-of": "2026-09-22T00:00:00Z",
        "envgen.lock": f"sha256:{hashlib.sha256((folder / 'envgen.lock').read_bytes()).hexdigest()}",
        "envgen.python": base.python(),
    }
    if base.stand_in:
        expected["envgen.base.override"] = base.stand_in
    assert cpu_base["image"]["labels"] == expected
    assert inspect(cpu_base["image"]["name"])["Config"]["Labels"] == expected


def test_the_layers_are_the_base_s_the_skeleton_and_one_for_each_group(cpu_base: Report, cache: Path, base: Base) -> None:
    own = diff_ids(base.image)
    found = diff_ids(cpu_base["image"]["name"])
    assert found[: len(own)] == own
    assert len(found) == len(own) + 1 + len(groups()) + 1
    assert found[len(own) + 1] == NOTHING
    skeleton, _, *contents = layer_sizes(cpu_base["image"]["name"])[-len(groups()) - 2 :]
    assert skeleton < 200_000
    for size, (group, packages) in zip(contents, groups().items(), strict=True):
        brought = sum(unpacked_size(cache / "wheels" / package["sha256"] / package["file"]) for package in packages)
        # Byte code and half-filled blocks come on top.
        assert brought <= size <= brought * 2.5, group


def layer_sizes(image: str) -> list[int]:
    """The unpacked sizes of the layers that have any, the lowest first."""
    # The words beside them may be those of another layer: bases exist that have no history.
    lines = docker("history", "--human=false", "--format", "{{.Size}}", image).split()
    return [int(line) for line in reversed(lines) if int(line)]


def unpacked_size(wheel: Path) -> int:
    with zipfile.ZipFile(wheel) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def test_profiles_share_every_layer_they_have_in_common(cpu_base: Report, one_tier: OneTier) -> None:
    expected = diff_ids(cpu_base["image"]["name"])
    for image in one_tier.images.values():
        assert diff_ids(image) == expected
        assert inspect(image)["Id"] != cpu_base["image"]["digest"]


def test_a_build_without_cache_elsewhere_has_the_same_digest(cpu_base: Report, cache: Path, base: Base, tmp_path: Path) -> None:
    folder, temporary = tmp_path / "another folder", tmp_path / "another TMPDIR"
    folder.mkdir()
    temporary.mkdir()
    elsewhere = {
        "ENVGEN_CACHE": str(cache),
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "TMPDIR": str(temporary),
        "PYTHONHASHSEED": "1",
        "SOURCE_DATE_EPOCH": "1",
    }
    arguments = ("build", "cpu-base", "--json", *base.arguments, "--no-cache", "--no-smoke")
    with umask(0o077), tagged("again") as tag:
        done = envgen(*arguments, "--tag", tag, cwd=folder, env=elsewhere).must_pass()
    found = json.loads(done.stdout)
    assert found["image"]["digest"] == cpu_base["image"]["digest"]
    assert found["smoke"] is None
    assert not list(temporary.iterdir())


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def tagged(name: str) -> Iterator[str]:
    """A tag for an image that is removed at the end."""
    tag = f"envgen-test/{name}:{os.getpid()}"
    try:
        yield tag
    finally:
        if docker("image", "ls", "--quiet", tag).strip():
            docker("image", "rm", "--force", tag)


def test_the_committed_dockerfile_gives_the_same_image_without_envgen(cpu_base: Report, base: Base) -> None:
    arguments = {"SOURCE_DATE_EPOCH": EPOCH, "INDEX_DEFAULT": mirror("DEFAULT"), "INDEX_PYTORCH_CPU": mirror("PYTORCH_CPU")}
    labels = {}
    if base.stand_in:
        arguments |= {"BASE": base.stand_in, "PYTHON": base.python()}
        labels = dict.fromkeys(("org.opencontainers.image.base.name", "envgen.base.override"), base.stand_in)
        labels["envgen.python"] = base.python()
    words = [word for name, value in arguments.items() if value for word in ("--build-arg", f"{name}={value}")]
    words += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    if CERTIFICATES.is_file():
        words += ["--secret", f"id=ca,src={CERTIFICATES}"]
    with tagged("plain") as tag:
        output = f"type=image,name={tag},{EXPORT}"
        docker("buildx", "build", "--network=host", "--provenance=false", *words, "--no-cache", "--output", output, shipped_lock())
        assert diff_ids(tag) == diff_ids(cpu_base["image"]["name"])
        assert inspect(tag)["Id"] == cpu_base["image"]["digest"]


@pytest.mark.parametrize("damage", ["another byte", "one more", "one less"])
def test_wheels_that_others_hand_in_are_checked_where_they_are_installed(damage: str, cache: Path, base: Base, tmp_path: Path) -> None:
    name = next(package["file"] for package in groups()["libraries"])
    for package in groups()["libraries"]:
        shutil.copy(cache / "wheels" / package["sha256"] / package["file"], tmp_path)
    content = (tmp_path / name).read_bytes()
    if damage == "one more":
        (tmp_path / "another-1.0-py3-none-any.whl").write_bytes(content)
    else:
        (tmp_path / name).unlink()
    if damage == "another byte":
        (tmp_path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    installer = read_lock(shipped_lock())["installer"]
    contexts = {"wheels-libraries": tmp_path, "wheels-installer": cache / "wheels" / installer["sha256"]}
    words = [word for stage, folder in contexts.items() for word in ("--build-context", f"{stage}={folder}")]
    words += ["--build-arg", f"BASE={base.image}", "--target", "layer-libraries", "--progress", "plain"]
    command = ["docker", "buildx", "build", *words, str(shipped_lock())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = {"one more": "  another-1.0-py3-none-any.whl", "one less": f"  {name}"}
    assert (told.get(damage) or hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()) in done.stderr


@pytest.mark.parametrize("damage", ["none", "another byte", "one more"])
def test_an_installer_that_others_hand_in_is_checked_in_every_image(damage: str, cache: Path, base: Base, tmp_path: Path) -> None:
    installer = read_lock(shipped_lock())["installer"]
    shutil.copy(cache / "wheels" / installer["sha256"] / installer["file"], tmp_path)
    if damage == "another byte":
        with (tmp_path / installer["file"]).open("ab") as stream:
            stream.write(b"x")
    elif damage == "one more":
        (tmp_path / "another-1.0-py3-none-any.whl").touch()
    words = [
        "--build-context",
        f"wheels-installer={tmp_path}",
        "--build-arg",
        f"BASE={base.image}",
        "--build-arg",
        f"PYTHON={base.python()}",
    ]
    command = ["docker", "buildx", "build", *words, "--target", "skeleton", "--progress", "plain", str(shipped_lock())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (damage == "none"), done.stderr
    if damage != "none":
        path = tmp_path / installer["file"]
        told = "  another-1.0-py3-none-any.whl" if damage == "one more" else hashlib.sha256(path.read_bytes()).hexdigest()
        assert told in done.stderr


def mirror(index: str) -> str:
    """What stands in for an index on this machine, else nothing."""
    return os.environ.get(f"ENVGEN_INDEX_{index}", "")


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """The shipped requirements.txt, with the page of the index that stands in for PyTorch's where one does."""
    text = (shipped_lock() / "requirements.txt").read_text()
    assert PAGES.findall(text) == ["https://download.pytorch.org/whl/cpu"]
    if mirror("PYTORCH_CPU"):
        text = PAGES.sub(f"--find-links {mirror('PYTORCH_CPU')}/torch/", text)
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return path


def test_pip_takes_the_requirements(requirements: Path, base: Base) -> None:
    options = ["--rm", "--network=host", "--volume", f"{requirements}:/requirements.txt:ro", "--env", "PIP_BREAK_SYSTEM_PACKAGES=1"]
    if CERTIFICATES.is_file():
        options += ["--volume", f"{CERTIFICATES}:/ca.pem:ro", "--env", "PIP_CERT=/ca.pem"]
    if mirror("DEFAULT"):
        options += ["--env", f"PIP_INDEX_URL={mirror('DEFAULT')}"]
    command = ("python3.11", "-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes", "-r", "/requirements.txt")
    said = docker("run", *options, base.image, *command)
    line = next(line for line in said.splitlines() if line.startswith("Would install "))
    found = [word.rpartition("-") for word in line.split()[2:]]
    assert sorted(f"{canonicalize_name(name)}=={version}" for name, _, version in found) == pinned()


def test_uv_takes_the_requirements(requirements: Path, tmp_path: Path) -> None:
    command = [find_uv_bin(), "--no-config", "--no-cache", "pip", "install", "--dry-run", "--require-hashes", "-r", str(requirements)]
    command += ["--python-version", "3.11", "--target", str(tmp_path / "target")]
    if mirror("DEFAULT"):
        command += ["--default-index", mirror("DEFAULT")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"(?m)^ \+ (\S+)$", done.stderr)) == pinned()


def pinned() -> list[str]:
    """Every pin of the lock, sorted."""
    return sorted(f"{package['name']}=={package['version']}" for packages in groups().values() for package in packages)
