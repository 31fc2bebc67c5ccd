"""Every check of the probe fails in a real image with something wrong that it is there to find.

The image is that of cpu-base; bitsandbytes, which it does not have, is mounted into it. What takes CUDA's own packages, or a GPU, is
in test_quant.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from built import LOCKED_DOWN, OneTier, docker, read_lock, results, shipped_lock

import envgen as package
from envgen.smoke.model import EMBEDDED

PROBE = Path(package.__file__).parent / "smoke" / "probe"
PROGRAM = Path(__file__).with_name("failing_checks.py")
SITE = "/opt/venv/lib/python3.11/site-packages"
JOB = {"model": "/envgen/embedded", "embedded": "/envgen/embedded"}
Mounts = dict[str, Path]

# Each case of failing_checks.py, with what its check has to say; nothing where nothing is wrong.
SAID = {
    "tokenizer-round-trip: two tokens are swapped": "are not the recorded ones",
    "load-safetensors: a weight has another name": "missing_keys: model.layers.1.mlp.up_proj.weight; unexpected_keys: model.layers.9.mlp",
    "generate: a layer is all zeros": "57 tokens as recorded, but with a smallest margin 4.",
    "generate: half the layers are all zeros": "recorded is ' as a list of wheels.",
    "generate: one token is not the recorded one": "recorded is ' as a list of wheels.",
    "pipeline: it adds a letter": "the pipeline answers ' as a list of wheels.",
    "device-map-auto: half the layers are wrong": 'device_map="auto" answers ',
    "load-bin: a weight differs in its last bit": "loaded from .bin, 1 weights differ: model.layers.1.mlp.up_proj.weight",
    "refuse-pickle: it is executed": "the pickle was executed",
    "refuse-pickle: it is refused for another reason": "refused, but for another reason: OSError: no such file",
    "refuse-pickle: nothing is refused": "a .bin with a call of os.mkdir instead of weights was loaded without an error",
    "prefer-safetensors: the .bin is read": "beside a .bin with other weights, ",
    "prefer-safetensors: the .bin is executed": "the .bin beside the safetensors file was executed",
    "disk-offload: all is kept in memory": "nothing is on disk",
    "disk-offload: half the layers are wrong": "disk offload answers ",
    "trainer-step: a step does nothing": "4 steps changed the loss from ",
    "trainer-step: the loss grows": "4 steps changed the loss from ",
    "refuse-remote-code: it is trusted": "AutoConfig loaded a model with code of its own without an error",
    "encode: nothing": "",
    "encode: a weight is no number": "the embedding has values that are not finite",
    "encode: every sentence is the same to it": "two different sentences have the same embedding",
    "encode: dropout stays on": "a second run gives another embedding",
    "encode: padding counts": "padding changes the result by ",
    "pipeline: nothing, of an encoder": "",
    "pipeline: features are others": "feature-extraction changes the result by ",
    "pipeline: another word is filled in": "the model's best is ",
    **{
        case: words
        for mode, layer in (("nf4", "Linear4bit"), ("fp4", "Linear4bit"), ("int8", "Linear8bitLt"))
        for case, words in {
            f"load-{mode}: nothing": "",
            f"load-{mode}: a part of the plain weights is kept": " bytes, expected at most ",
            f"generate-{mode}: nothing": "",
            f"generate-{mode}: half the layers are nothing": "recorded is ' as a list of wheels.",
            f"layers-{mode}: nothing": "",
            f"layers-{mode}: one layer is off by a fifth": ": model.layers.1.mlp.up_proj (expected at most ",
            f"logits-{mode}: nothing": "",
            f"logits-{mode}: half the layers are off by half": " over 56 tokens, the same next token after 3",
            f"load-{mode}: it was never quantized": f"0 of 21 linear layers are {layer}: not model.layers.0.mlp.down_proj",
        }.items()
    },
    "matmul: nothing": "",
    "matmul: a GPU multiplies wrongly": "the product on cuda:0 changes the result by 2.0e-02",
    "generate-cuda: half the layers are wrong": "recorded is ' as a list of wheels.",
    "generate-cuda-nf4: half the layers are nothing": "recorded is ' as a list of wheels.",
    "generate-cuda-int8: half the layers are nothing": "recorded is ' as a list of wheels.",
    "device-map-auto-cuda: the weights are on the CPU": "the weights are on cpu (expected only GPUs)",
    "trainer-step-cuda: it trains on the CPU": "Trainer ran on cpu, expected cuda",
    "peak-memory: no GPU was used": "no check used any GPU memory",
    "convert-gguf: the file is not there": "/model.gguf: no such file",
    "convert-gguf: the package that reads it is not there": "Please install torch and gguf",
}


@pytest.fixture(scope="module")
def image(cpu_base: dict[str, Any]) -> str:
    return str(cpu_base["image"]["name"])


@pytest.fixture(scope="module")
def bitsandbytes(tmp_path_factory: pytest.TempPathFactory) -> Mounts:
    """The mounts that put the locked bitsandbytes into an image which has none."""
    lock = read_lock(shipped_lock().parents[1] / "bnb-quant" / shipped_lock().name)
    locked = next(entry for entry in lock["package"] if entry["name"] == "bitsandbytes")
    folder = tmp_path_factory.mktemp("bitsandbytes")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    subprocess.run([*command, f"bitsandbytes=={locked['version']}"], check=True)
    wheel = folder / locked["file"]
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == locked["sha256"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    open_to_all(folder)
    names = ("bitsandbytes", f"bitsandbytes-{locked['version']}.dist-info")
    return {f"{SITE}/{name}": folder / name for name in names}


def open_to_all(folder: Path) -> None:
    """The image's user is somebody else."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def in_image(image: str, *command: str, mounts: Mounts, job: Path | None = None) -> str:
    """What a command writes in an image, with the probe and the embedded model in their places."""
    places = {"/envgen/probe": PROBE, "/envgen/embedded": EMBEDDED, **({"/envgen/job.json": job} if job else {}), **mounts}
    volumes = [word for target, source in places.items() for word in ("--volume", f"{source}:{target}:ro")]
    arguments = ["docker", "run", *LOCKED_DOWN, "--env", "HF_HUB_OFFLINE=1", "--env", "OMP_NUM_THREADS=1", *volumes, image, *command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def phase(image: str, name: str, folder: Path, job: dict[str, Any], mounts: Mounts) -> dict[str, tuple[str, str]]:
    """Status and detail of each check of a phase."""
    folder.chmod(0o755)
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    file.chmod(0o644)
    lines = in_image(image, "python", "-I", "/envgen/probe", name, mounts=mounts, job=file).splitlines()
    return {event["check"]: (event["status"], event["detail"]) for event in map(json.loads, lines) if "check" in event}


@pytest.fixture(scope="module")
def outcomes(image: str, bitsandbytes: Mounts) -> dict[str, tuple[str, str]]:
    """Status and detail of each case."""
    said = in_image(image, "python", "/envgen/failing.py", mounts={"/envgen/failing.py": PROGRAM, **bitsandbytes})
    return {name: (status, detail) for name, status, detail in map(json.loads, said.splitlines())}


@pytest.mark.parametrize("case", SAID)
def test_a_check_finds_what_it_is_there_for(outcomes: dict[str, tuple[str, str]], case: str) -> None:
    status, detail = outcomes[case]
    assert status == ("failed" if SAID[case] else "passed"), detail
    assert SAID[case] in detail


def test_every_case_is_looked_at(outcomes: dict[str, tuple[str, str]]) -> None:
    assert outcomes.keys() == SAID.keys()


# The static tier


DISTURBED = """
FROM {image}
USER 0
RUN --network=none python -I -S -c "import os, pathlib; \\
site = pathlib.Path('{site}'); stray = site / 'stray-1.0.dist-info'; stray.mkdir(); \\
(stray / 'METADATA').write_text('Metadata-Version: 2.1\\\\nName: stray\\\\nVersion: 1.0\\\\n'); \\
os.chown(site / 'tqdm' / 'std.py', 10001, 0); \\
os.chmod(site / 'tqdm' / 'utils.py', 0o666); \\
os.chown(site / 'tqdm' / 'gui.py', 0, 10001); os.chmod(site / 'tqdm' / 'gui.py', 0o664); \\
os.utime(site / 'tqdm' / 'cli.py', (315532800, 315532801))"
USER 10001:10001
LABEL envgen.python=3.11.999
"""


def test_what_no_file_s_content_tells_is_found(one_tier: OneTier, tmp_path: Path) -> None:
    """Owners, modes, times, a distribution that is not locked, and another Python than the label's: all in one image."""
    tag = f"envgen-test/disturbed:{os.getpid()}"
    (tmp_path / "Dockerfile").write_text(DISTURBED.format(image=one_tier.images["static"], site=SITE))
    docker("buildx", "build", "--provenance=false", "--output", f"type=image,name={tag}", tmp_path)
    try:
        done = one_tier.smoke("static", "--json", image=tag)
    finally:
        docker("image", "rm", "--force", tag)
    assert done.code == 7, done.stderr
    found = {name: result["detail"] for name, result in results(json.loads(done.stdout)["smoke"]).items() if result["status"] == "failed"}
    assert found["python-version"].endswith(" (expected 3.11.999)")
    assert found["distributions"] == "1 finding: stray 1.0: not in the lock"
    relative = SITE.removeprefix("/opt/venv/")
    assert f"{relative}/stray-1.0.dist-info: a folder that is in no wheel" in found["foreign-files"]
    assert f"{relative}/tqdm/cli.py: 315532801.000 (expected 315532800)" in found["mtimes"]
    for words in ("std.py: belongs to the user 10001", "utils.py: mode 666, anyone can", "gui.py: mode 664, group 10001 can"):
        assert f"{relative}/tqdm/{words}" in found["not-writable"]
    assert "files" not in found, "the content is as it was"


def metadata_of(image: str, folder: Path, name: str) -> Mounts:
    """The mount that gives an installed distribution an ancient version."""
    program = f"import importlib.metadata as m; found = m.distribution({name!r}); print(found._path); print(found.read_text('METADATA'))"
    path, *lines = docker("run", *LOCKED_DOWN, image, "python", "-c", program).splitlines()
    file = folder / "METADATA"
    file.write_text("\n".join("Version: 0.0.1" if line.startswith("Version: ") else line for line in lines))
    file.chmod(0o644)
    return {f"{path}/METADATA": file}


def library(folder: Path) -> Path:
    file = folder / "library"
    file.write_bytes(b"")
    file.chmod(0o644)
    return file


def test_an_image_that_does_not_hold_together_is_found(image: str, tmp_path: Path) -> None:
    """Another torch than the locked one, a CUDA library beside a torch for CPUs, and a tqdm that is too old for those who want it."""
    mounts = {**metadata_of(image, tmp_path, "tqdm"), f"{SITE}/accelerate/libcudart.so.12": library(tmp_path)}
    found = phase(image, "static-imports", tmp_path, {"prefix": "/opt/venv", "torch": "2.12.0+cpu"}, mounts)
    assert {status for status, _ in found.values()} == {"failed"}
    assert found["torch-build"][1].endswith("+cpu (expected 2.12.0+cpu)")
    assert found["runtime-dependencies"][1].startswith("ImportError: tqdm>=")
    assert found["one-cuda-copy"][1] == "1 found: accelerate/libcudart.so.12: a CUDA library beside torch 2.12.0+cpu"
    assert "huggingface-hub requires tqdm>=" in found["consistent-requirements"][1]


def test_a_lock_with_cuda_is_not_satisfied_by_an_image_without(image: str, bitsandbytes: Mounts, tmp_path: Path) -> None:
    mounts = {**bitsandbytes, "/usr/local/lib/libcublas.so.12": library(tmp_path)}
    job = {"prefix": "/opt/venv", "torch": "2.13.0", "cuda": "14.0", "bitsandbytes": True}
    found = phase(image, "static-imports", tmp_path, job, mounts)
    assert {name for name, (status, _) in found.items() if status == "passed"} == {"runtime-dependencies", "consistent-requirements"}
    assert found["torch-build"][1] == "torch 2.13.0+cpu (expected 2.13.0)"
    assert found["cuda-majors"][1] == "CUDA runtime: found none (expected one, of CUDA 14.0)"
    assert found["no-cuda-base"][1] == "CUDA is in the base: /usr/local/lib/libcublas.so.12"
    assert found["bitsandbytes-library"][1].startswith("libbitsandbytes_cuda140.so: not in bitsandbytes")
    assert found["one-cuda-copy"][1] == "3 found: libcublas: missing; libcudnn: missing; libnccl: missing"


COMPILE = """
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(sys.argv[1], cfile="/tmp/x", invalidation_mode=mode)
sys.stdout.write(open("/tmp/x", "rb").read().hex())
"""


def compiled(image: str, folder: Path, path: str) -> bytes:
    """The byte code of a source in `folder`, which stands at /there."""
    return bytes.fromhex(docker("run", *LOCKED_DOWN, "--volume", f"{folder}:/there:ro", image, "python", "-c", COMPILE, f"/there/{path}"))


def test_a_cuda_torch_in_a_lock_without_cuda_is_found(image: str, tmp_path: Path) -> None:
    """As the default index has it: a torch for CUDA that does not say so in its version."""
    version = docker("run", *LOCKED_DOWN, image, "cat", f"{SITE}/torch/version.py")
    file = tmp_path / "version.py"
    file.write_text(f"{version}\ncuda = '13.0'\n")
    open_to_all(tmp_path)
    byte_code = tmp_path / "version.pyc"
    byte_code.write_bytes(compiled(image, tmp_path, "version.py"))
    byte_code.chmod(0o644)
    mounts = {f"{SITE}/torch/version.py": file, f"{SITE}/torch/__pycache__/version.cpython-311.pyc": byte_code}
    job = {"prefix": "/opt/venv", "torch": "2.13.0+cpu", "cuda": None}
    found = phase(image, "static-imports", tmp_path, job, mounts)
    assert found["torch-build"] == ("failed", "torch 2.13.0+cpu was built for CUDA 13.0 (expected no CUDA)")


def test_a_gpu_that_torch_can_not_use_is_a_failure_of_every_check(image: str, bitsandbytes: Mounts, tmp_path: Path) -> None:
    """A device without a driver behind it: the tier must not hide that as `not run`."""
    job = {**JOB, "cuda": "13.0", "driver": "580", "bitsandbytes": True}
    found = phase(image, "gpu", tmp_path, job, {**bitsandbytes, "/dev/nvidiactl": library(tmp_path)})
    assert len(found) == 8
    for status, detail in found.values():
        assert status == "failed"
        assert detail.startswith("torch can't use the GPU: ")
        assert detail.endswith(" (CUDA 13.0 requires driver 580)")


def test_byte_code_of_another_source_is_found_beside_it(image: str, tmp_path: Path) -> None:
    """What `envgen audit` runs in the base, on files that it unpacked from an image's layers."""
    (tmp_path / "venv" / "lib" / "demo" / "__pycache__").mkdir(parents=True)
    source = tmp_path / "venv" / "lib" / "demo" / "__init__.py"
    source.write_text("x = 1\n")
    target = "demo/__pycache__/__init__.cpython-311.pyc"
    open_to_all(tmp_path)
    right = compiled(image, tmp_path / "venv", "lib/demo/__init__.py")
    expected = {"prefix": "/there", "site_packages": "lib", "files": {"lib/demo/__init__.py": {}}, "directories": []}
    for content, status in ((right, "passed"), (right.replace(b"x", b"y"), "failed"), (right[:-1], "failed")):
        (tmp_path / "venv" / "lib" / target).write_bytes(content)
        open_to_all(tmp_path)
        job = {"prefix": "/there", "python": "3.11", "expected": expected}
        found = phase(image, "byte-code", tmp_path, job, {"/there": tmp_path / "venv"})
        assert found["byte-code"][0] == status, found
        assert ("/there/lib/demo/__pycache__/__init__" in found["byte-code"][1]) is (status == "failed")
