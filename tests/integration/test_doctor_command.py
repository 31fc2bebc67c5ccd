"""`envgen doctor` beside the real engine, with drivers that this machine has not: nvidia-smi is a small program on PATH here."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command import Done, envgen, program

SECRET = "hf_" + "notreallyatoken" * 2


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment with a cache of the test's own, and first on PATH a folder for programs."""
    for name in ("bin", "hf"):
        (tmp_path / name).mkdir()
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": SECRET}


def install(folder: Path, script: str) -> None:
    """Put an nvidia-smi there that is this shell script."""
    program = folder / "bin" / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def driver(version: str) -> str:
    """A script that answers what nvidia-smi is asked, as one with this driver and a single GPU does."""
    return f"""case "$*" in
    "--query-gpu=driver_version,name,memory.total --format=csv,noheader,nounits") echo "{version}, NVIDIA L4, 23034" ;;
    *) echo "Field is not a valid field to query." >&2; exit 2 ;;
esac"""


def doctor(folder: Path, env: dict[str, str], *arguments: str) -> Done:
    project = folder / "project"
    project.mkdir(exist_ok=True)
    return envgen("doctor", *arguments, cwd=project, env=env)


def findings(folder: Path, env: dict[str, str], code: int, *arguments: str) -> dict[str, dict[str, Any]]:
    """The findings of `envgen doctor --json` by their subject; it must end with `code`."""
    done = doctor(folder, env, *arguments, "--json")
    assert done.code == code, done.stdout + done.stderr
    assert done.stderr == ""
    assert SECRET not in done.stdout
    report = json.loads(done.stdout)
    for finding in report["findings"]:
        assert set(finding) == {"subject", "status", "found", "cure"}
        assert bool(finding["cure"]) == (finding["status"] in ("warning", "problem")), finding
    assert report["problems"] == sum(finding["status"] == "problem" for finding in report["findings"])
    return {finding["subject"]: finding for finding in report["findings"]}


def test_the_engine_and_its_disk(tmp_path: Path, machine: dict[str, str]) -> None:
    found = findings(tmp_path, machine, 0, "cpu-base")
    for subject in ("engine", "buildx", "BuildKit", "platform", "wheel store", "lock", "Python", "HF_TOKEN", "HF_HOME"):
        assert found[subject]["status"] == "ok", found[subject]
    assert found["engine"]["found"].startswith("Docker ")
    assert found["engine"]["found"].endswith(", containerd image store")
    assert "free at " in found["wheel store"]["found"]
    assert found["GPU"]["status"] == "not applicable"


@pytest.mark.parametrize(
    ("version", "status", "words"),
    [
        ("590.44.01", "ok", ()),
        ("580.65.06", "ok", ()),
        ("535.183.01", "problem", ("update the driver to 580 or newer", 'cuda = "12.8"')),
        ("450.80.02", "problem", ("update the driver to 580 or newer", "use cpu-base")),
    ],
)
def test_a_driver(tmp_path: Path, machine: dict[str, str], version: str, status: str, words: tuple[str, ...]) -> None:
    install(tmp_path, driver(version))
    done = doctor(tmp_path, machine, "cuda", "--json")
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert (found["GPU"]["status"], found["GPU"]["found"]) == ("ok", "NVIDIA L4 (24.2 GB)")
    assert (found["driver"]["status"], found["driver"]["found"]) == (status, f"{version}; cuda needs >=580 for CUDA 13.0")
    for word in words:
        assert word in found["driver"]["cure"]
    # The first problem decides; whether this engine has a runtime for GPUs is not for the test to say.
    runtime = found["GPU runtime"]["status"]
    assert runtime in ("ok", "problem")
    assert done.code == (2 if status == "problem" else 5 if runtime == "problem" else 0)


def test_a_variant_for_an_old_driver_is_a_profile(tmp_path: Path, machine: dict[str, str]) -> None:
    """What the cure says can be pasted: the profile is one, and fits this driver."""
    install(tmp_path, driver("535.183.01"))
    cure = findings(tmp_path, machine, 2, "cuda")["driver"]["cure"]
    lines = [line.strip() for line in cure.splitlines() if line.startswith("  ")]
    (tmp_path / "project" / "profiles").mkdir()
    (tmp_path / "project" / "profiles" / "older.toml").write_text("\n".join(lines))
    shown = json.loads(envgen("show", "older", "--json", cwd=tmp_path / "project", env=machine).must_pass().stdout)
    assert (shown["cuda"], shown["driver"]) == ("12.8", "525")
    assert shown["indexes"] == [
        ["pytorch-cu128", "https://download.pytorch.org/whl/cu128", ["torch", "torchvision", "torchaudio", "torchcodec"]]
    ]


def test_a_driver_that_does_not_answer(tmp_path: Path, machine: dict[str, str]) -> None:
    install(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    found = doctor(tmp_path, machine, "cuda")
    assert found.code == 2
    assert "PROBLEM  GPU " in found.stdout
    assert "nvidia-smi: Failed to initialize NVML: Driver/library version mismatch" in found.stdout
    assert "cure: reinstall the driver" in found.stdout


def test_no_gpu_at_all(tmp_path: Path, machine: dict[str, str]) -> None:
    install(tmp_path, "")
    found = doctor(tmp_path, machine, "cuda")
    lines = found.stdout.splitlines()
    assert any(line.startswith("warning  GPU ") and line.endswith("no NVIDIA GPU: the gpu tier will be NOT RUN") for line in lines)
    assert lines[-1].startswith("doctor cuda: no problems, ")


@pytest.mark.parametrize("command", [("doctor", "cpu-base"), ("build", "cpu-base"), ("run", "cpu-base"), ("smoke", "cpu-base")])
def test_an_engine_that_this_user_may_not_talk_to(command: tuple[str, ...], tmp_path: Path, machine: dict[str, str]) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0)
        env = {**os.environ, **machine, "DOCKER_HOST": f"unix://{path}"}
        words = [*not_almighty(), program(), *command]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 5, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert f"docker: permission denied: the engine at unix://{path} is not open to this user" in said
    assert "sudo usermod -aG docker $USER" in said
    assert "no engine answers at" not in said
    assert "tests/machine" not in said


def not_almighty() -> tuple[str, ...]:
    """What takes from root, if that is who we are, the right to open what its mode closes."""
    if os.getuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is missing: it is part of Debian's util-linux"
    return (setpriv, "--inh-caps=-dac_override,-dac_read_search", "--bounding-set=-dac_override,-dac_read_search")


def test_no_engine(tmp_path: Path, machine: dict[str, str]) -> None:
    address = f"unix://{tmp_path}/docker.sock"
    found = findings(tmp_path, {**machine, "DOCKER_HOST": address}, 5, "cpu-base")
    assert found["engine"]["status"] == "problem"
    assert address in found["engine"]["found"]
    assert found["engine"]["cure"].startswith("start Docker (sudo systemctl start docker), install it, or set DOCKER_HOST")
    assert found["engine's disk"] == {"subject": "engine's disk", "status": "not applicable", "found": "no engine answers", "cure": ""}
    assert found["HF_HOME"]["status"] == "ok", "the rest is looked at all the same"


def test_what_others_have_set(tmp_path: Path, machine: dict[str, str]) -> None:
    more = {"TRANSFORMERS_CACHE": "/x", "HTTPS_PROXY": "http://ann:geheim@proxy.example:3128", "PIP_CERT": f"{tmp_path}/none.pem"}
    done = doctor(tmp_path, {**machine, **more}, "cpu-base")
    assert done.code == 2
    assert "geheim" not in done.stdout
    assert "HTTPS_PROXY=http://proxy.example:3128" in done.stdout
    assert "none: the engine pulls bases past the proxy that is set here" in done.stdout
    for words in ("ignored since transformers 5", "cure: unset TRANSFORMERS_CACHE and set HF_HOME", f"{tmp_path}/none.pem: can't be read"):
        assert words in done.stdout
    assert done.stdout.splitlines()[-1] == "doctor cpu-base: 1 problem, 2 warnings"


def test_every_profile_at_once(tmp_path: Path, machine: dict[str, str]) -> None:
    install(tmp_path, "")
    found = findings(tmp_path, machine, 0)
    assert found["lock"]["found"].startswith("up to date: ")
    assert found["GPU"]["status"] == "warning"
