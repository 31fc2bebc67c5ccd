"""The phase `gpu`: what the image must be able to do with a GPU. Without one nothing of it is run, and that is what it reports."""

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
"""What the driver gives a container: on Linux, and in Windows' subsystem for it."""

INT8_CAPABILITY = (7, 5)
"""What LLM.int8() wants (bitsandbytes documentation, Installation Guide)."""

MODULE = Path("/proc/driver/nvidia/version")


def checks(job: Job) -> Checks:
    """Return the checks; quantized generation where bitsandbytes is locked."""
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
    """Raise NotRun when no GPU is visible, Failed when there is one that torch can't use."""
    hint = optional_text(job, "gpu_hint")
    reason = "no GPU visible" + (f": {hint}" if hint else "")
    if not any(path.exists() for path in DEVICES):
        raise NotRun(reason)
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        needed = f"CUDA {job.get('cuda')} needs driver {job.get('driver')}"
        raise Failed(f"torch can't use the GPU: {str(error).splitlines()[0]} ({needed})") from error
    if not torch.cuda.device_count():
        raise NotRun(reason)


def device_visible(_job: Job) -> str:
    """Name the driver, and every GPU with its compute capability and memory."""
    import torch

    said = re.search(r"Kernel Module\D*\s(\d+(?:\.\d+)+)", MODULE.read_text(encoding="utf-8", errors="replace") if MODULE.is_file() else "")
    driver = f"driver {said[1]}" if said else "the driver does not say which it is"
    found = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        found.append(f"{device.name} (capability {device.major}.{device.minor}, {device.total_memory / 1e9:.0f} GB)")
    return f"{len(found)} GPU: {', '.join(found)}; {driver}"


def matmul(_job: Job) -> str:
    """Multiply two matrices on each GPU: the same as on the CPU, but for rounding."""
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
    """Generate with all weights, quantized in a `mode` where one is given, on one device."""
    subject = subjects.causal(job)
    where = {"": device}
    if mode:
        quantized.require_plain(job)
        model = quantized.load_quantized(subject, quantized.MODES[mode], device_map=where)
    else:
        model = subjects.load(subject, device_map=where).eval()
    said = inference.verdict(job, subject, model, answers.complete(model, subject))
    return f"{subjects.stand_in(job)}{said}, on {model.device}"


def generate_nf4(job: Job) -> str:
    """Generate on the first GPU in nf4."""
    return complete_on(job, 0, "nf4")


def generate_int8(job: Job) -> str:
    """Generate on the first GPU in int8, where its compute capability allows that."""
    import torch

    found = torch.cuda.get_device_capability(0)
    if found < INT8_CAPABILITY:
        wanted = ".".join(map(str, INT8_CAPABILITY))
        raise NotRun(f"int8 wants compute capability {wanted}, found {'.'.join(map(str, found))}")
    return complete_on(job, 0, "int8")


def device_map_auto(job: Job) -> str:
    """Load with device_map="auto": all weights are on a GPU, and where there are several the model is spread over them."""
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
        raise Failed(f"the weights are on {words} (expected GPUs alone{', more than one' if count > 1 else ''})")
    return f"{subjects.stand_in(job)}{inference.verdict(job, subject, model, answers.complete(model, subject))}, weights on {words}"


def budgets(weights: int, free: Sequence[int]) -> dict[int, int]:
    """Return how many bytes of each GPU may be used, so that `weights` bytes are spread; `free` are those that each has.

    The first GPU may hold no more than all weights, of which accelerate leaves room for the largest layer free; the second takes the
    rest whatever it is. Further ones only make the even shares that accelerate aims at too small for a layer, so they are for models
    that do not fit into two.
    """
    if weights * 1.2 > free[0] + free[1]:
        return dict(enumerate(free))
    return {0: min(weights, free[0]), 1: min(2 * weights, free[1])}


def trainer_step(job: Job) -> str:
    """A few steps of `Trainer` on the GPU lower the loss."""
    return training.train(subjects.small(job), use_cpu=False)


def peak_memory(_job: Job) -> str:
    """Say what the checks before took of each GPU at most."""
    import torch

    peaks = [torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count())]
    if not any(peaks):
        raise Failed("no memory of a GPU was used by any of the checks")
    return ", ".join(f"cuda:{index} {peak / 1e6:.0f} MB" for index, peak in enumerate(peaks))
