"""The phase `gpu`: what must work in the image with a GPU. Without one, every check is reported as not run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import answers
import inference
import model_under_test as subjects
import quantized
import training
from harness import Check, Checks, Failed, Job, NotRun, optional_text

DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""The driver's device in a container: on Linux, and in the Windows Subsystem for Linux."""

INT8_CAPABILITY = (7, 5)
"""The compute capability that LLM.int8() requires (bitsandbytes documentation, Installation Guide)."""

MODULE = Path("/proc/driver/nvidia/version")


def checks(job: Job) -> Checks:
    """Return the checks; quantized generation only if bitsandbytes is locked."""
    quantized_steps = (("generate-cuda-nf4", generate_nf4), ("generate-cuda-int8", generate_int8)) if job.get("bitsandbytes") else ()
    steps: tuple[tuple[str, Callable[[Job], str]], ...] = (
        ("device-visible", device_visible),
        ("matmul", matmul),
        ("generate-cuda", generate),
        *quantized_steps,
        ("device-map-auto-cuda", device_map_auto),
        ("trainer-step-cuda", trainer_step),
        ("peak-memory", peak_memory),
    )
    return tuple((name, _with_gpu(check)) for name, check in steps)


def _with_gpu(check: Callable[[Job], str]) -> Check:
    def run(job: Job) -> str:
        require_gpu(job)
        return check(job)

    return run


def require_gpu(job: Job) -> None:
    """Raise NotRun if no GPU is visible, Failed if torch can't use it."""
    hint = optional_text(job, "gpu_hint")
    reason = "no GPU visible" + (f": {hint}" if hint else "")
    if not any(path.exists() for path in DEVICES):
        raise NotRun(reason)
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        needed = f"CUDA {job.get('cuda')} requires driver {job.get('driver')}"
        raise Failed(f"torch can't use the GPU: {str(error).splitlines()[0]} ({needed})") from error
    if not torch.cuda.device_count():
        raise NotRun(reason)


def device_visible(_job: Job) -> str:
    """Report the driver, and every GPU with its compute capability and memory."""
    import torch

    module = MODULE.read_text(encoding="utf-8", errors="replace") if MODULE.is_file() else ""
    match = re.search(r"Kernel Module\D*\s(\d+(?:\.\d+)+)", module)
    driver = f"driver {match[1]}" if match else "unknown driver version"
    gpus = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        gpus.append(f"{device.name} (capability {device.major}.{device.minor}, {device.total_memory / 1e9:.0f} GB)")
    return f"{len(gpus)} GPU: {', '.join(gpus)}; {driver}"


def matmul(_job: Job) -> str:
    """Multiply two matrices on each GPU: the same result as on the CPU, up to rounding."""
    import torch

    torch.manual_seed(0)
    left, right = torch.randn(512, 512), torch.randn(512, 512)
    expected = left @ right
    errors = []
    for index in range(torch.cuda.device_count()):
        found = (left.to(f"cuda:{index}") @ right.to(f"cuda:{index}")).cpu()
        errors.append(answers.require_close(found, expected, "torch.float16", f"the product on cuda:{index}"))
    return f"512 x 512, largest difference {max(errors):.1e} of the largest value"


def generate(job: Job) -> str:
    """Generate on the first GPU: the recorded tokens, or an answer with the expected text."""
    return complete_on(job, 0)


def complete_on(job: Job, device: int | str, mode: str = "") -> str:
    """Generate with all weights on one device, quantized if a `mode` is given."""
    subject = subjects.causal(job)
    where = {"": device}
    if mode:
        quantized.require_plain(job)
        model = quantized.load_quantized(subject, quantized.MODES[mode], device_map=where)
    else:
        model = subjects.load(subject, device_map=where).eval()
    answer = inference.verdict(job, subject, model, answers.complete(model, subject))
    return f"{subjects.model_note(job)}{answer}, on {model.device}"


def generate_nf4(job: Job) -> str:
    """Generate on the first GPU in nf4."""
    return complete_on(job, 0, "nf4")


def generate_int8(job: Job) -> str:
    """Generate on the first GPU in int8, if its compute capability allows that."""
    import torch

    capability = torch.cuda.get_device_capability(0)
    if capability < INT8_CAPABILITY:
        required = ".".join(map(str, INT8_CAPABILITY))
        raise NotRun(f"int8 requires compute capability {required}, found {'.'.join(map(str, capability))}")
    return complete_on(job, 0, "int8")


def device_map_auto(job: Job) -> str:
    """Load with device_map="auto": all weights are on GPUs, and the model is spread over several if there are any."""
    import torch

    subject = subjects.causal(job)
    count = torch.cuda.device_count()
    options: dict[str, Any] = {"device_map": "auto"}
    if count > 1:
        weights = subjects.model(subject).get_memory_footprint()
        subjects.release()
        options["max_memory"] = budgets(weights, [torch.cuda.mem_get_info(index)[0] for index in range(count)])
    model = subjects.load(subject, **options).eval()
    places = {parameter.device for parameter in model.parameters()}
    words = ", ".join(sorted(map(str, places)))
    if any(place.type != "cuda" for place in places) or (count > 1 and len(places) < 2):
        raise Failed(f"the weights are on {words} (expected only GPUs{', more than one' if count > 1 else ''})")
    return f"{subjects.model_note(job)}{inference.verdict(job, subject, model, answers.complete(model, subject))}, weights on {words}"


def budgets(weights: int, free: Sequence[int]) -> dict[int, int]:
    """Return the bytes of each GPU to use, so that `weights` bytes are spread; `free` are the bytes that each has.

    The first GPU gets at most the size of all weights, of which accelerate keeps room for the largest layer free; the second takes
    whatever is left. With more GPUs, accelerate's even shares could get too small for a layer, so they are used only for models that do
    not fit into two.
    """
    if weights * 1.2 > free[0] + free[1]:
        return dict(enumerate(free))
    return {0: min(weights, free[0]), 1: min(2 * weights, free[1])}


def trainer_step(job: Job) -> str:
    """A few steps of `Trainer` on the GPU lower the loss."""
    return training.train(subjects.small(job), use_cpu=False)


def peak_memory(_job: Job) -> str:
    """Report the peak memory of each GPU during the previous checks."""
    import torch

    peaks = [torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count())]
    if not any(peaks):
        raise Failed("no check used any GPU memory")
    return ", ".join(f"cuda:{index} {peak / 1e6:.0f} MB" for index, peak in enumerate(peaks))
