"""envgen.image.run and envgen.engine.attached: what `envgen run` hands to docker, and what it warns of."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from samples import sample_lock

from envgen.core.errors import EngineError, UsageError
from envgen.core.settings import read_settings
from envgen.engine import EngineInfo, Image, RunRequest
from envgen.engine.docker.run import attached_command
from envgen.engine.gpus import Gpu, Gpus
from envgen.image import run
from envgen.image.run import HostUser, RunOptions, RunPlan, cache_folders, choose_gpus, current_user, permits

INFO = EngineInfo(
    name="Docker",
    version="26",
    tools={"buildx": "0.13", "BuildKit": "0.13"},
    image_store="containerd image store",
    gpu_cure="nvidia-ctk runtime configure",
    data_root="/var/lib/docker",
)
RUNTIME = replace(INFO, gpus="the nvidia runtime")
CPU, CUDA = sample_lock(), sample_lock(cuda="13.0", driver="580")
ONE = Gpus(driver="590.1", gpus=(Gpu(name="A", memory=0),))
ON_CPU = ("", "on the CPU")
IMAGE = Image(name="an/image:tag", digest="sha256:1", size=1, labels={})


def plan(folder: Path, environ: Mapping[str, str], gpus: tuple[str, str] = ON_CPU, user: str = "", **wishes: str) -> RunPlan:
    """The plan of somebody who is in `folder`/workspace, with the cache in `folder`/hf unless `environ` says otherwise."""
    (folder / "work").mkdir(exist_ok=True)
    status = (folder / "work").stat()
    caller = HostUser(
        user=user or f"{status.st_uid}:{status.st_gid}",
        name="ann",
        folder=folder / "work",
        environ={"HF_HOME": str(folder / "hf"), **environ},
    )
    settings = read_settings(environ, folder)
    return run.plan(IMAGE, gpus, RunOptions(command=("python", "x.py"), **wishes), caller, settings)  # type: ignore[arg-type]


def test_the_request(tmp_path: Path) -> None:
    planned = plan(tmp_path, {"HF_TOKEN": "hf_x", "HF_ENDPOINT": "https://hub.example", "SECRET": "s", "HOME": "/home/ann"})
    status = tmp_path.stat()
    assert planned.request == RunRequest(
        image="sha256:1",  # whatever the name means by then
        command=("python", "x.py"),
        mounts=((tmp_path / "work", "/workspace", True), (tmp_path / "hf", "/hf", True)),
        environment={
            "USER": "ann",
            "HF_HOME": "/hf",
            "HF_TOKEN": "hf_x",
            "HF_ENDPOINT": "https://hub.example",
            "NVIDIA_VISIBLE_DEVICES": "void",
        },
        network="bridge",
        user=f"{status.st_uid}:{status.st_gid}",
        workdir="/workspace",
    )
    assert planned.warnings == ()
    assert planned.summary == (
        f"an/image:tag, as {status.st_uid}:{status.st_gid}, on the CPU, network bridge, /workspace is {tmp_path}/work, /hf is {tmp_path}/hf"
    )
    assert (tmp_path / "hf").is_dir(), "what is downloaded would go with the container"


def test_with_gpus_nothing_hides_them(tmp_path: Path) -> None:
    planned = plan(tmp_path, {}, ("0,1", "with GPUs 0,1"))
    assert planned.request.gpus == "0,1"
    assert "NVIDIA_VISIBLE_DEVICES" not in planned.request.environment


def test_the_way_to_the_network(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://u:p@proxy.example:1", "SSL_CERT_FILE": "/ca.pem", "PIP_CERT": "/ca.pem"}
    request = plan(tmp_path, environ).request
    assert request.mounts[2:] == ((Path("/ca.pem"), "/envgen/ca.pem", False),)
    given = {name: request.environment.get(name) for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")}
    inside = "/envgen/ca.pem"
    assert given == {"HTTPS_PROXY": environ["HTTPS_PROXY"], "SSL_CERT_FILE": inside, "REQUESTS_CA_BUNDLE": inside, "PIP_CERT": None}
    alone = plan(tmp_path, environ, network="none").request
    assert (alone.network, alone.environment["HF_HUB_OFFLINE"], len(alone.mounts)) == ("none", "1", 2)
    assert "HTTPS_PROXY" not in alone.environment


def test_a_second_folder_of_the_cache(tmp_path: Path) -> None:
    request = plan(tmp_path, {"HF_HUB_CACHE": str(tmp_path / "hub")}).request
    assert (tmp_path / "hub", "/hf-hub", True) in request.mounts
    assert request.environment["HF_HUB_CACHE"] == "/hf-hub"


def test_a_cache_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    planned = plan(tmp_path, {"HF_HOME": str(tmp_path / "file" / "hf")})
    assert "HF_HOME" not in planned.request.environment
    assert len(planned.request.mounts) == 1
    assert planned.warnings == (
        f"HF_HOME: {tmp_path}/file/hf can't be created (Not a directory), downloads will be lost: set HF_HOME to a folder of yours",
    )


@pytest.mark.parametrize(("mode", "verb"), [(0o500, "written"), (0o300, "read"), (0o600, "read")])
def test_a_cache_that_can_not_be_used(tmp_path: Path, mode: int, verb: str) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf").chmod(mode)
    warning = plan(tmp_path, {}).warnings[0]
    (tmp_path / "hf").chmod(0o700)
    assert f"HF_HOME: {tmp_path}/hf can't be {verb} by " in warning
    assert warning.endswith(f"in the container: chmod u+rwx {tmp_path}/hf")


def test_folders_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir(mode=0o755)
    (tmp_path / "hf").mkdir(mode=0o700)
    warnings = plan(tmp_path, {}, user="54321:54321").warnings
    assert warnings == (
        f"the current folder: {tmp_path}/work can't be written by 54321:54321 in the container: use one that belongs to 54321:54321",
        f"HF_HOME: {tmp_path}/hf can't be read by 54321:54321 in the container: use one that belongs to 54321:54321",
    )


@pytest.mark.parametrize(("user", "mode"), [("{uid}:1", 0o700), ("54321:{gid}", 0o070), ("54321:54321", 0o007), ("", 0)])
def test_who_may_do_what(tmp_path: Path, user: str, mode: int) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    status = folder.stat()
    who = user.format(uid=status.st_uid, gid=status.st_gid)
    folder.chmod(mode)
    assert permits(folder, who, 0o7)
    folder.chmod(0o777 & ~mode)
    assert permits(folder, who, 0o1) is (not user)
    folder.chmod(0o700)


def test_where_the_cache_is() -> None:
    assert cache_folders({}) == {"HF_HOME": Path.home() / ".cache" / "huggingface"}
    assert cache_folders({"XDG_CACHE_HOME": "/x"}) == {"HF_HOME": Path("/x/huggingface")}
    assert cache_folders({"HF_HOME": "~/m", "HF_HUB_CACHE": "/h"}) == {"HF_HOME": Path.home() / "m", "HF_HUB_CACHE": Path("/h")}


@pytest.mark.parametrize(
    ("lock", "wish", "info", "found", "expected"),
    [
        (CPU, "auto", RUNTIME, ONE, ON_CPU),
        (CPU, "none", RUNTIME, ONE, ON_CPU),
        (CUDA, "none", RUNTIME, ONE, ON_CPU),
        (CUDA, "auto", RUNTIME, ONE, ("all", "with GPUs all through the nvidia runtime")),
        (CUDA, "0,1", RUNTIME, Gpus(), ("0,1", "with GPUs 0,1 through the nvidia runtime")),
        (CUDA, "auto", INFO, ONE, ("", "on the CPU (this engine can't pass GPUs into containers)")),
        (CUDA, "auto", RUNTIME, Gpus(), ("", "on the CPU (no NVIDIA GPU found)")),
        (CUDA, "auto", replace(RUNTIME, data_root=""), Gpus(), ("all", "with GPUs all through the nvidia runtime")),
    ],
)
def test_which_gpus(lock: object, wish: str, info: EngineInfo, found: Gpus, expected: tuple[str, str]) -> None:
    assert choose_gpus(lock, wish, info, found) == expected  # type: ignore[arg-type]


def test_gpus_that_can_not_be_had() -> None:
    with pytest.raises(EngineError, match="--gpus all: this engine can't pass GPUs") as caught:
        choose_gpus(CUDA, "all", INFO, ONE)
    assert "nvidia-ctk runtime configure" in caught.value.hint
    with pytest.raises(UsageError, match="--gpus 0: small is locked without CUDA"):
        choose_gpus(CPU, "0", RUNTIME, ONE)


def test_the_root_is_no_folder_to_work_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(UsageError, match="the current folder: is /"):
        current_user({})
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="the current folder: no longer exists"):
        current_user({})
    monkeypatch.chdir(tmp_path)
    assert current_user({"USER": "ann"}).name == "ann"


ORDER = RunRequest(
    image="an/image",
    command=("sh", "-c", "echo $X"),
    environment={"HF_TOKEN": "hf_x", "SSL_CERT_FILE": "/envgen/ca.pem", "HTTPS_PROXY": "http://u:p@h"},
    user="1:2",
    workdir="/workspace",
)


def pairs(words: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == option]


def test_no_value_stands_on_the_command_line() -> None:
    known = {"PATH": "/bin", "SSL_CERT_FILE": "/here/ca.pem", "HTTPS_PROXY": "http://u:p@h"}
    words, variables = attached_command(ORDER, known, terminal=False)
    assert variables == {"HF_TOKEN": "hf_x", "HTTPS_PROXY": "http://u:p@h"}
    # docker itself reads this one, and at its own place.
    assert pairs(words, "--env") == ["HF_TOKEN", "SSL_CERT_FILE=/envgen/ca.pem", "HTTPS_PROXY"]
    assert not [word for word in words if "hf_x" in word or "u:p" in word]


def test_the_container_is_locked_down() -> None:
    words, _ = attached_command(ORDER, {}, terminal=False)
    assert words[0] == "run"
    assert {"--rm", "--read-only", "--init", "--interactive"} < set(words)
    expected = {"--cap-drop": "ALL", "--security-opt": "no-new-privileges", "--network": "none", "--user": "1:2", "--pull": "never"}
    expected |= {"--workdir": "/workspace", "--tmpfs": "/tmp:rw,nosuid,nodev,mode=1777", "--shm-size": "2g"}
    assert {option: pairs(words, option) for option in expected} == {option: [value] for option, value in expected.items()}
    assert words[-4:] == ["an/image", "sh", "-c", "echo $X"]
    assert not {"--tty", "--gpus", "--memory", "--privileged"} & set(words)


def test_what_is_asked_for_only() -> None:
    words, _ = attached_command(replace(ORDER, gpus="all", memory=5, user="", workdir=""), {}, terminal=True)
    assert (pairs(words, "--gpus"), pairs(words, "--memory")) == (["all"], ["5"])
    assert "--tty" in words
    assert not {"--user", "--workdir"} & set(words)
    words, _ = attached_command(replace(ORDER, gpus="0,1"), {}, terminal=False)
    assert pairs(words, "--gpus") == ['"device=0,1"'], "docker reads it as CSV"


def test_a_path_with_a_comma_and_a_quote() -> None:
    mounts = ((Path('/a,b "c"'), "/workspace", True), (Path("/ca"), "/envgen/ca.pem", False))
    words, _ = attached_command(replace(ORDER, mounts=mounts), {}, terminal=False)
    assert [next(csv.reader([text])) for text in pairs(words, "--mount")] == [
        ["type=bind", 'source=/a,b "c"', "target=/workspace"],
        ["type=bind", "source=/ca", "target=/envgen/ca.pem", "readonly"],
    ]
