"""envgen.doctor and envgen.gpu: what is found on machines that are not this one, and that everything wrong has a cure."""

import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import ROOT, sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import EngineError
from envgen.core.settings import read_settings
from envgen.doctor import Finding, examine_machine, exit_code
from envgen.doctor import environment as environments
from envgen.doctor.environment import environment
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING
from envgen.doctor.machine import check_engine, disk, gpu, newest_cuda, platforms
from envgen.engine import EngineInfo, gpus
from envgen.engine.gpus import Gpu, Gpus, parse_module, parse_query
from envgen.image import estimate_build
from envgen.profiles import CudaTable, Project
from envgen.profiles.cuda import read_toolkit
from envgen.sources import wheel_store
from envgen.workspace import Workspace

INFO = EngineInfo(
    name="Docker",
    version="26.1",
    tools={"buildx": "0.13", "BuildKit": "0.13.2"},
    image_store="containerd image store",
    gpu_cure="nvidia-ctk runtime configure",
    data_root="",
    platforms=("linux/amd64", "linux/amd64/v2"),
)
RUNTIME = replace(INFO, gpus="the nvidia runtime")
CUDA = sample_lock(profile="cuda", cuda="13.0", driver="580")
CPU = sample_lock()
A100 = Gpu(name="NVIDIA A100-SXM4-40GB", memory=40 << 30)


@pytest.fixture(scope="module")
def toolkit() -> CudaTable:
    path = ROOT / "profiles" / "toolkits" / "cuda.toml"
    return read_toolkit(tomllib.loads(path.read_text(encoding="utf-8")), "t.toml")


class Silent:
    """An engine of which nothing can be had but what `check` says."""

    def __init__(self, said: EngineInfo | EngineError) -> None:
        self._said = said

    def check(self) -> EngineInfo:
        if isinstance(self._said, EngineError):
            raise self._said
        return self._said


def workspace(project: Path, **environ: str) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(project / "cache"), **environ}, project)
    return Workspace(project=Project(folder=project), settings=settings, reporter=QuietReporter())


def by_subject(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    for finding in findings:
        assert bool(finding.cure) == (finding.status in (WARNING, PROBLEM)), finding
    return {finding.subject: finding for finding in findings}


# The programs' own words


def test_what_nvidia_smi_writes() -> None:
    text = "535.104.05, NVIDIA A100-SXM4-40GB, 40960\n535.104.05, NVIDIA GH200, [N/A]\n"
    assert parse_query(text) == Gpus(driver="535.104.05", gpus=(A100, Gpu(name="NVIDIA GH200", memory=0)))
    assert parse_query(text).branch == 535


@pytest.mark.parametrize(("text", "trouble"), [("", ""), ("No devices were found\n", "nvidia-smi: No devices were found")])
def test_what_it_writes_without_a_gpu(text: str, trouble: str) -> None:
    assert parse_query(text) == Gpus(trouble=trouble)
    assert parse_query(text).branch == 0


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.2.0\n",
            "535.104.05",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs@x)  Sun Jul 27\n", "580.65.06"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  450.80.02  Wed Sep 23 01:13:39 UTC 2020\n", "450.80.02"),
        ("", ""),
        ("something else 1.2.3\n", ""),
    ],
)
def test_what_the_kernel_module_says(text: str, version: str) -> None:
    assert parse_module(text) == version


def test_a_driver_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "MODULE", tmp_path / "version")
    assert gpus.find_gpus({"PATH": str(tmp_path)}) == Gpus()
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.1.2  Sat\n")
    found = gpus.find_gpus({"PATH": str(tmp_path)})
    assert found.driver == "535.1.2"
    assert "no nvidia-smi on PATH" in found.trouble


# GPU, driver, runtime


@pytest.mark.parametrize(
    ("branch", "cuda"), [(0, ""), (450, ""), (524, ""), (525, "12.8"), (535, "12.8"), (579, "12.8"), (580, "13.2"), (590, "13.2")]
)
def test_the_newest_cuda_for_a_driver(toolkit: CudaTable, branch: int, cuda: str) -> None:
    assert newest_cuda(toolkit, branch) == cuda


@pytest.mark.parametrize(
    ("driver", "status", "words"),
    [
        ("590.10", OK, ()),
        ("580.65.06", OK, ()),
        ("535.104.05", PROBLEM, ("update the driver to 580 or newer", 'extends = "cuda"', 'cuda = "12.8"', "envgen lock NAME")),
        ("450.80.02", PROBLEM, ("update the driver to 580 or newer", "use cpu-base")),
    ],
)
def test_a_driver_against_the_floor(toolkit: CudaTable, driver: str, status: str, words: tuple[str, ...]) -> None:
    found = by_subject(gpu([CPU, CUDA], Gpus(driver=driver, gpus=(A100, A100)), toolkit, RUNTIME))
    assert found["driver"].status == status
    assert found["driver"].found == f"{driver}; cuda needs >=580 for CUDA 13.0"
    for word in words:
        assert word in found["driver"].cure
    assert ('cuda = "' in found["driver"].cure) is ('cuda = "12.8"' in words)
    assert (found["GPU"].status, found["GPU"].found) == (OK, "NVIDIA A100-SXM4-40GB (42.9 GB), NVIDIA A100-SXM4-40GB (42.9 GB)")
    assert (found["GPU runtime"].status, found["GPU runtime"].found) == (OK, "the nvidia runtime")


def test_no_gpu(toolkit: CudaTable) -> None:
    found = by_subject(gpu([CUDA], Gpus(), toolkit, INFO))
    assert (found["GPU"].status, found["GPU"].found) == (WARNING, "no NVIDIA GPU: the gpu tier will be NOT RUN")
    assert (found["driver"].status, found["GPU runtime"].status) == (NOT_APPLICABLE, NOT_APPLICABLE)


def test_without_cuda_no_gpu_is_asked_for(toolkit: CudaTable) -> None:
    found = by_subject(gpu([CPU], Gpus(driver="1.1", gpus=(A100,)), toolkit, INFO))
    assert {finding.status for finding in found.values()} == {NOT_APPLICABLE}


def test_an_engine_that_passes_no_gpu_on(toolkit: CudaTable) -> None:
    found = by_subject(gpu([CUDA], Gpus(driver="590.1", gpus=(A100,)), toolkit, INFO))
    assert found["GPU runtime"].status == PROBLEM
    assert "nvidia-ctk runtime configure" in found["GPU runtime"].cure
    assert exit_code(tuple(found.values())) == 5
    assert by_subject(gpu([CUDA], Gpus(driver="590.1"), toolkit, None))["GPU runtime"].status == NOT_APPLICABLE


def test_a_driver_that_does_not_work(toolkit: CudaTable) -> None:
    trouble = "nvidia-smi: Failed to initialize NVML: Driver/library version mismatch"
    found = by_subject(gpu([CUDA], Gpus(trouble=trouble), toolkit, RUNTIME))
    assert (found["GPU"].status, found["GPU"].found) == (PROBLEM, trouble)


# The engine and its disk


def test_an_engine_that_does_not_answer() -> None:
    info, findings = check_engine(Silent(EngineError("docker", "no engine answers at x", hint="start Docker")))  # type: ignore[arg-type]
    assert info is None
    assert by_subject(findings)["engine"] == Finding(
        subject="engine", status=PROBLEM, found="docker: no engine answers at x", cure="start Docker"
    )
    assert exit_code(findings) == 5
    _, findings = check_engine(Silent(EngineError("docker", "odd")))  # type: ignore[arg-type]
    by_subject(findings)


def test_an_engine_that_answers() -> None:
    info, findings = check_engine(Silent(INFO))  # type: ignore[arg-type]
    assert info == INFO
    assert {finding.subject: (finding.status, finding.found) for finding in findings} == {
        "engine": (OK, "Docker 26.1, containerd image store"),
        "buildx": (OK, "0.13"),
        "BuildKit": (OK, "0.13.2"),
    }


def test_a_platform_that_it_can_not_run() -> None:
    found = platforms([CPU, CUDA, sample_lock(platform="linux/arm64")], INFO)
    assert [finding.status for finding in found] == [OK, PROBLEM]
    assert "linux/arm64" in found[1].found
    assert found[1].cure


@pytest.mark.parametrize(
    ("room", "statuses", "code"),
    [
        ("plenty", (OK, OK), 0),
        ("both", (OK, OK), 0),
        ("build", (OK, PROBLEM), 6),
        ("wheels", (OK, PROBLEM), 6),
        ("none", (PROBLEM, PROBLEM), 6),
    ],
    ids=["plenty", "just enough", "for the build without its wheels", "for the wheels alone", "none"],
)
def test_disk_against_what_a_build_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str, statuses: tuple[str, str], code: int
) -> None:
    ours, info = workspace(tmp_path), replace(INFO, data_root=str(tmp_path))
    large = replace(CPU.packages[0], wheel=replace(CPU.packages[0].wheel, size=1_000_000))
    big = sample_lock(profile="big", packages=(large,))
    wanted = estimate_build(ours, big)
    assert wanted.download > 1_000_000
    # On the disk that both share the wheels are there already when the build begins.
    needed = {"plenty": 10**12, "both": wanted.disk + wanted.download, "build": wanted.disk, "wheels": wanted.download, "none": 0}[room]
    monkeypatch.setattr(wheel_store.shutil, "disk_usage", lambda _path: SimpleNamespace(free=needed + wheel_store.SPARE * (room != "none")))
    found = disk(ours, [CPU, big], info)
    store, engine = by_subject(found)["wheel store"], by_subject(found)["engine's disk"]
    assert (store.status, engine.status) == statuses
    assert "the wheels of big: " in store.found
    assert "building big and its wheels: " in engine.found
    assert exit_code(found) == code


def test_disk_of_an_engine_elsewhere(tmp_path: Path) -> None:
    assert by_subject(disk(workspace(tmp_path), [CPU], INFO))["engine's disk"].found == "the engine runs on another machine"
    assert by_subject(disk(workspace(tmp_path), [CPU], None))["engine's disk"].found == "no engine answers"
    assert {finding.status for finding in disk(workspace(tmp_path), [], INFO)} == {NOT_APPLICABLE}


# The environment


def surroundings(folder: Path, **environ: str) -> dict[str, Finding]:
    (folder / "hf").mkdir(exist_ok=True)
    values = {"HF_HOME": str(folder / "hf"), **environ}
    return by_subject(environment(values, read_settings(values, folder)))


def test_nothing_special(tmp_path: Path) -> None:
    found = surroundings(tmp_path)
    assert {name: finding.status for name, finding in found.items()} == {
        "Python": OK, "HF_TOKEN": WARNING, "HF_HOME": OK, "proxy": NOT_APPLICABLE, "CA bundle": NOT_APPLICABLE,
    }  # fmt: skip
    assert "no access to gated models" in found["HF_TOKEN"].found


def test_an_old_python() -> None:
    assert environments._python((3, 10, 4)).status == PROBLEM
    assert environments._python((3, 11, 0)).status == OK


@pytest.mark.parametrize(
    ("token", "status"), [("hf_secret", OK), ("hf_secret\n", PROBLEM), (" hf_secret", PROBLEM), ("hf_ secret", PROBLEM)]
)
def test_a_token_is_never_shown(tmp_path: Path, token: str, status: str) -> None:
    found = surroundings(tmp_path, HF_TOKEN=token)["HF_TOKEN"]
    assert found.status == status
    assert "secret" not in found.found + found.cure


def test_a_token_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_secret")
    found = surroundings(tmp_path)["HF_TOKEN"]
    assert f"`envgen run` uses the one in {tmp_path}/hf/token" in found.found
    assert "secret" not in found.found


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert surroundings(tmp_path)["HF_HOME"].found == str(tmp_path / "hf")
    missing = surroundings(tmp_path, HF_HOME=str(tmp_path / "a" / "b"))["HF_HOME"]
    assert (missing.status, missing.found) == (OK, f"{tmp_path}/a/b: does not exist yet; created when needed")
    (tmp_path / "file").touch()
    assert surroundings(tmp_path, HF_HOME=str(tmp_path / "file"))["HF_HOME"].found.endswith("file: not a folder")
    assert surroundings(tmp_path, HF_HOME=str(tmp_path / "file" / "x"))["HF_HOME"].status == PROBLEM
    assert surroundings(tmp_path, HF_HUB_CACHE=str(tmp_path))["HF_HUB_CACHE"].status == OK
    # Root may do everything: this is how it is for others.
    monkeypatch.setattr(environments.os, "access", lambda _path, _mode: False)
    found = surroundings(tmp_path)["HF_HOME"]
    assert (found.status, found.found) == (PROBLEM, f"{tmp_path}/hf: not readable and writable")
    assert "chown" in found.cure
    assert surroundings(tmp_path, HF_HOME=str(tmp_path / "a"))["HF_HOME"].found.endswith("does not exist and can't be created")


def test_a_variable_that_is_ignored(tmp_path: Path) -> None:
    found = surroundings(tmp_path, TRANSFORMERS_CACHE="/x")["TRANSFORMERS_CACHE"]
    assert (found.status, found.found) == (WARNING, "set, but ignored since transformers 5")
    assert "HF_HOME" in found.cure


def test_proxies_are_shown_without_credentials(tmp_path: Path) -> None:
    found = surroundings(tmp_path, HTTPS_PROXY="http://ann:geheim@proxy.example:3128", http_proxy="p.example:80", NO_PROXY="localhost,x")
    assert found["proxy"].status == OK
    assert found["proxy"].found == "HTTPS_PROXY=http://proxy.example:3128, NO_PROXY=localhost,x, http_proxy=http://p.example:80"


@pytest.mark.parametrize("value", ["http://ann:ge/heim@proxy.example:3128", "http://", "http://h:port"])
def test_a_proxy_that_is_no_url(tmp_path: Path, value: str) -> None:
    found = surroundings(tmp_path, HTTPS_PROXY=value)["proxy"]
    assert found.status == PROBLEM
    assert found.found == "HTTPS_PROXY: not a valid URL"
    assert "heim" not in found.cure


def test_certificates(tmp_path: Path) -> None:
    (tmp_path / "good.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "bad.pem").write_text("<html>")
    found = surroundings(
        tmp_path, SSL_CERT_FILE=f"{tmp_path}/good.pem", REQUESTS_CA_BUNDLE=f"{tmp_path}/bad.pem", PIP_CERT=f"{tmp_path}/none.pem"
    )
    assert found["SSL_CERT_FILE"].status == OK
    assert found["REQUESTS_CA_BUNDLE"].found == f"{tmp_path}/bad.pem: contains no PEM certificate"
    assert found["PIP_CERT"].found == f"{tmp_path}/none.pem: can't be read: No such file or directory"
    assert found["PIP_CERT"].cure.startswith("unset PIP_CERT")


# All of it


def test_the_exit_code_is_that_of_the_first_problem() -> None:
    def finding(subject: str, status: str = PROBLEM) -> Finding:
        return Finding(subject=subject, status=status, found="", cure="x")

    assert exit_code([]) == 0
    assert exit_code([finding("engine", OK), finding("GPU", WARNING), finding("x", NOT_APPLICABLE)]) == 0
    assert exit_code([finding("engine", OK), finding("driver"), finding("engine's disk")]) == 2
    assert exit_code([finding("lock"), finding("engine")]) == 4
    assert exit_code([finding("wheel store")]) == 6


def test_every_profile_of_an_empty_project(tmp_path: Path) -> None:
    found = by_subject(examine_machine(workspace(tmp_path), "", Silent(INFO), Gpus(), {"HF_HOME": str(tmp_path)}))  # type: ignore[arg-type]
    assert found["lock"].found == "up to date: bnb-quant, cpu-base, cuda"
    assert "bnb-quant" in found["wheel store"].found, "the one that takes most"
    assert found["GPU"].status == WARNING


def test_a_profile_whose_lock_is_missing(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text('extends = "cpu-base"\ndescription = "Mine"\n')
    (tmp_path / "profiles" / "odd.toml").write_text('extends = "nothing"\n')
    project = workspace(tmp_path)
    named = by_subject(examine_machine(project, "mine", Silent(INFO), Gpus(), {"HF_HOME": str(tmp_path)}))  # type: ignore[arg-type]
    assert (named["lock"].status, named["lock"].cure) == (PROBLEM, "run: envgen lock mine")
    assert named["wheel store"].status == NOT_APPLICABLE
    assert exit_code(tuple(named.values())) == 4
    every = examine_machine(project, "", Silent(INFO), Gpus(), {"HF_HOME": str(tmp_path)})  # type: ignore[arg-type]
    said = [finding for finding in every if finding.subject in ("lock", "profile")]
    assert [(finding.subject, finding.status) for finding in said] == [("lock", OK), ("lock", WARNING), ("profile", WARNING)]
    assert "odd.toml" in said[2].found


def test_a_profile_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    text = 'extends = "cpu-base"\ndescription = "No image"\nplatforms = ["macos/arm64"]\n'
    (tmp_path / "profiles" / "mac.toml").write_text(text)
    found = by_subject(examine_machine(workspace(tmp_path), "mac", Silent(INFO), Gpus(), {"HF_HOME": str(tmp_path)}))  # type: ignore[arg-type]
    assert found["lock"].status == NOT_APPLICABLE
