"""What the reports on cuda and bnb-quant say where there is no GPU, and that each new check can fail."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from built import LOCKED_DOWN, results
from command import envgen

import envgen as package
from envgen.smoke.model import EMBEDDED

PROBE = Path(package.__file__).parent / "smoke" / "probe"
Built = dict[str, Any]
MODES = ("nf4", "fp4", "int8")


def of_tier(built: Built, tier: str) -> dict[str, dict[str, Any]]:
    return {name: result for name, result in results(built["smoke"]).items() if result["tier"] == tier}


@pytest.mark.parametrize(("name", "tiers"), [("cuda", ("static", "cpu")), ("bnb_quant", ("static", "cpu", "quant"))])
def test_everything_passes_but_the_gpu_tier_which_is_said_first(name: str, tiers: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    smoke = request.getfixturevalue(name)["smoke"]
    assert smoke["states"] == {**dict.fromkeys(tiers, "passed"), "gpu": "not run"}
    assert smoke["headline"].startswith("NOT RUN: gpu (no GPU visible); ")
    assert smoke["verdict"] == "gpu NOT RUN, all else passed"
    assert not re.search(r"gpu[^;]*passed", smoke["headline"])


def test_the_static_tier_looks_at_cuda(cuda: Built, bnb_quant: Built) -> None:
    static = of_tier(cuda, "static")
    assert static["torch-build"]["detail"] == "torch 2.13.0+cu130, CUDA 13.0"
    assert re.fullmatch(
        r"\d+ CUDA libraries, each once, libnccl.so.2, libcublas.so.13, libcudnn.so.9 .*", static["one-cuda-copy"]["detail"]
    )
    assert re.fullmatch(r"torch loaded \d\d CUDA libraries, all from the wheels", static["no-cuda-base"]["detail"])
    assert "bitsandbytes-library" not in static
    library = of_tier(bnb_quant, "static")["bitsandbytes-library"]
    assert library["detail"].startswith("libbitsandbytes_cpu.so, libbitsandbytes_cuda130.so, of ")


def test_all_of_the_cpu_tier_runs_in_the_cuda_image(cuda: Built, cpu_base: Built) -> None:
    assert of_tier(cuda, "cpu").keys() == of_tier(cpu_base, "cpu").keys()


@pytest.mark.parametrize("mode", MODES)
def test_the_embedded_model_says_the_same_in_every_mode(bnb_quant: Built, mode: str) -> None:
    quant = of_tier(bnb_quant, "quant")
    assert {name for name in quant if name.endswith(mode)} == {f"{step}-{mode}" for step in ("load", "generate", "layers", "logits")}
    assert quant[f"generate-{mode}"]["detail"].startswith("57 tokens as recorded")


@pytest.mark.parametrize(("mode", "bound"), [("nf4", 0.45), ("fp4", 0.45), ("int8", 0.65)])
def test_smollm2_takes_that_much_less_memory(bnb_quant_smollm2: Built, mode: str, bound: float) -> None:
    match = re.search(r"bytes, (0\.\d+) of the 269,030,272 unquantized", of_tier(bnb_quant_smollm2, "quant")[f"load-{mode}"]["detail"])
    assert match
    assert 0.3 < float(match[1]) <= bound


@pytest.mark.parametrize("mode", ["nf4", "int8"])
def test_smollm2_knows_the_capital_of_france(bnb_quant_smollm2: Built, mode: str) -> None:
    assert of_tier(bnb_quant_smollm2, "quant")[f"generate-{mode}"]["detail"].startswith("'Paris' is in the answer")


def test_no_model_is_loaded_without_avx2(bnb_quant: Built, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = ['/envgen/probe', '/envgen/probe/model']; import quantized\n"
        "for machine, flags in (('x86_64', 'fpu sse4_2 avx'), ('x86_64', 'fpu avx2'), ('aarch64', 'fp asimd')):\n"
        "    try: quantized.require_avx2(machine, flags); print('runs')\n"
        "    except quantized.NotRun as reason: print(reason)\n"
        "print([module for module in ('torch', 'transformers', 'bitsandbytes') if module in sys.modules])"
    )
    said = in_image(bnb_quant, "python", "-c", program, tmp_path=tmp_path)
    assert said.splitlines() == ["this CPU has no AVX2, which bitsandbytes requires", "runs", "runs", "[]"]


def in_image(built: Built, *command: str, tmp_path: Path, mounts: tuple[tuple[Path, str], ...] = (), job: Built | None = None) -> str:
    """What a command writes in an image, with the probe and a job in their places."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job or {}))
    file.chmod(0o644)
    tmp_path.chmod(0o755)
    places = ((PROBE, "/envgen/probe"), (EMBEDDED, "/envgen/embedded"), (file, "/envgen/job.json"), *mounts)
    volumes = [word for source, target in places for word in ("--volume", f"{source}:{target}:ro")]
    arguments = ["docker", "run", *LOCKED_DOWN, "--env", "HF_HUB_OFFLINE=1", *volumes, built["image"]["name"], *command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def outcomes(report: str) -> dict[str, tuple[str, str]]:
    events = [json.loads(line) for line in report.splitlines()]
    return {event["check"]: (event["status"], event["detail"]) for event in events if "check" in event}


JOB = {"prefix": "/opt/venv", "torch": "2.13.0", "cuda": "13.0", "driver": "580", "bitsandbytes": True}


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"cuda": "12.8"}, "torch-build", "torch 2.13.0+cu130 (expected 2.13.0)"),
        ({"torch": "2.13.0+cu130", "cuda": "12.8"}, "torch-build", "was built for CUDA 13.0 (expected CUDA 12.8)"),
        ({"cuda": "13.1"}, "cuda-majors", "CUDA runtime: found nvidia-cuda-runtime 13.0"),
        ({"cuda": "14.0"}, "bitsandbytes-library", "libbitsandbytes_cuda140.so: not in bitsandbytes"),
    ],
)
def test_another_cuda_than_the_locked_one_is_found(bnb_quant: Built, tmp_path: Path, change: Built, check: str, words: str) -> None:
    found = outcomes(in_image(bnb_quant, "python", "-I", "/envgen/probe", "static-imports", tmp_path=tmp_path, job=JOB | change))
    assert found[check][0] == "failed"
    assert words in found[check][1]


def test_a_second_copy_and_a_cuda_in_the_base_are_found(bnb_quant: Built, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.write_bytes(b"")
    mounts = (
        (library, "/opt/venv/lib/python3.11/site-packages/accelerate/libnccl.so.1"),
        (library, "/usr/local/lib/libcublas.so.12"),
    )
    found = outcomes(in_image(bnb_quant, "python", "-I", "/envgen/probe", "static-imports", tmp_path=tmp_path, mounts=mounts, job=JOB))
    assert found["one-cuda-copy"][0] == "failed"
    assert "libnccl: 2 copies: accelerate/libnccl.so.1, nvidia/" in found["one-cuda-copy"][1]
    assert found["no-cuda-base"] == ("failed", "CUDA is in the base: /usr/local/lib/libcublas.so.12")


def test_a_gpu_that_torch_can_not_use_is_a_failure(cuda: Built, tmp_path: Path) -> None:
    """A device without a driver behind it: the tier must not hide that as `not run`."""
    device = tmp_path / "device"
    device.write_bytes(b"")
    job = JOB | {"model": "/envgen/embedded", "embedded": "/envgen/embedded", "bitsandbytes": False}
    mounts = ((device, "/dev/nvidiactl"),)
    found = outcomes(in_image(cuda, "python", "-I", "/envgen/probe", "gpu", tmp_path=tmp_path, mounts=mounts, job=job))
    assert {status for status, _ in found.values()} == {"failed"}
    assert all("torch can't use the GPU: " in detail and "(CUDA 13.0 requires driver 580)" in detail for _, detail in found.values())


def test_a_broken_layer_is_found(bnb_quant: Built, tmp_path: Path) -> None:
    """A scale that is wrong by a fifth in one layer of each 4-bit model, and weights that were never quantized."""
    program = """
import json, sys
sys.path[:0] = ["/envgen/probe", "/envgen/probe/model"]
import harness, model_under_test, quantized
job = json.load(open("/envgen/job.json"))
for name in ("nf4", "fp4"):
    model = quantized.quantized(model_under_test.causal(job), name)
    model.model.layers[1].mlp.up_proj.weight.quant_state.absmax.mul_(1.2)
    try: print(quantized.layers(job, quantized.MODES[name]))
    except harness.Failed as failure: print("failed:", failure)
quantized.quantized = lambda given, mode: model_under_test.load(given)
try: print(quantized.load(job, quantized.MODES["int8"]))
except harness.Failed as failure: print("failed:", failure)
"""
    job = {"model": "/envgen/embedded", "embedded": "/envgen/embedded"}
    said = in_image(bnb_quant, "python", "-c", program, tmp_path=tmp_path, job=job).splitlines()
    assert [line.startswith("failed: 21 layers, the farthest 0.2") and "model.layers.1.mlp.up_proj" in line for line in said[:2]] == [
        True
    ] * 2
    assert said[2].startswith("failed: 0 of 21 linear layers are Linear8bitLt")


def test_the_gpu_checks_do_on_a_cpu_what_does_not_take_a_gpu(bnb_quant: Built, tmp_path: Path) -> None:
    """The device map for several GPUs, generation in each form, and a training that does not run where it should."""
    program = """
import json, sys
sys.path[:0] = ["/envgen/probe", "/envgen/probe/model"]
import gpu, harness, model_under_test, training
from transformers.integrations.accelerate import _get_device_map
job = json.load(open("/envgen/job.json"))
model = model_under_test.load(model_under_test.causal(job))
for count in (2, 8):
    places = _get_device_map(model, "auto", gpu.budgets(model.get_memory_footprint(), [24 << 30] * count), None)
    print(sorted(set(places.values()), key=str))
for mode in ("", "nf4", "int8"): print(gpu.complete_on(job, "cpu", mode))
trained = lambda: training.train(model_under_test.small(job), use_cpu=False)
for check in (trained, lambda: gpu.device_map_auto(job), lambda: gpu.peak_memory(job)):
    try: print(check())
    except harness.Failed as failure: print("failed:", failure)
"""
    recorded = json.loads((EMBEDDED / "recorded.json").read_text())
    job = {"model": "/envgen/embedded", "embedded": "/envgen/embedded", "recorded": recorded}
    said = in_image(bnb_quant, "python", "-c", program, tmp_path=tmp_path, job=job).splitlines()
    said = [line for line in said if not line.startswith("{'train_runtime'")]
    assert said[:2] == ["[0, 1]", "[0, 1]"]
    assert all(re.fullmatch(r"57 tokens as recorded, .*, on cpu", line) for line in said[2:5])
    assert said[5:] == [
        "failed: Trainer ran on cpu, expected cuda",
        "failed: the weights are on cpu (expected only GPUs)",
        "failed: no check used any GPU memory",
    ]


def test_a_mode_is_gone_before_the_next_one_is_loaded(bnb_quant: Built, tmp_path: Path) -> None:
    program = """
import json, sys, weakref
sys.path[:0] = ["/envgen/probe", "/envgen/probe/model"]
import model_under_test, quantized
given = model_under_test.causal(json.load(open("/envgen/job.json")))
first = weakref.ref(quantized.quantized(given, "nf4"))
load = quantized.load_quantized
quantized.load_quantized = lambda *words: print(first()) or load(*words)
quantized.quantized(given, "fp4")
"""
    job = {"model": "/envgen/embedded", "embedded": "/envgen/embedded"}
    assert in_image(bnb_quant, "python", "-c", program, tmp_path=tmp_path, job=job).splitlines() == ["None"]


@pytest.mark.parametrize(("arguments", "code"), [(("--gpus", "all"), 5), (("--require-gpu",), 7), (("--gpus", "some"), 2)])
def test_a_gpu_that_the_engine_can_not_pass_on_is_said_before_a_build(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = envgen("build", "cuda", *arguments, cwd=tmp_path, env={"ENVGEN_CACHE": str(tmp_path / "cache")})
    assert done.code == code, done.stderr
    assert not (tmp_path / "cache").exists()
    if code != 2:
        done.must_fail(code, "can't pass GPUs to containers", "hint:  install the NVIDIA Container Toolkit")
