"""The phase `quant`: nf4, fp4 and int8 through BitsAndBytesConfig, on a CPU: the model really is smaller, and answers the same."""

from __future__ import annotations

import gc
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import answers
import inference
import model_under_test as subjects
from harness import Check, Checks, Failed, Job, NotRun, first_few, optional_text, text
from model_under_test import ModelUnderTest


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A quantization: options of BitsAndBytesConfig, the class of its layers, and bytes per weight in them.

    Bytes per weight include its scale: in 4 bits a float32 for BLOCK weights, in int8 one for a row.

    `layer_error` bounds the error of a layer's output for a random input, `logits_error` that of the logits of a sentence, each centred
    around its mean: the norm of the difference relative to that of the plain output. Measured for the embedded model and SmolLM2-135M:
    layers at most 0.104 in nf4, 0.149 in fp4, 0.014 in int8, and logits 0.28, 0.37, 0.09. A layer whose scale is wrong by a fifth is off
    by 0.199 or more: the bounds are between the two.
    """

    name: str
    options: tuple[tuple[str, object], ...]
    layer: str
    bytes_per_weight: float
    layer_error: float
    logits_error: float

    @property
    def promises(self) -> bool:
        """Whether its answer must contain an expected text: fp4 is too coarse for that with a small model."""
        return self.name != "fp4"


def _four_bit(name: str, *, layer_error: float, logits_error: float) -> Mode:
    options = (("load_in_4bit", True), ("bnb_4bit_quant_type", name))
    size = 0.5 + SCALE / BLOCK
    return Mode(name=name, options=options, layer="Linear4bit", bytes_per_weight=size, layer_error=layer_error, logits_error=logits_error)


SCALE = 4
"""Bytes of a float32."""

BLOCK = 64
"""Weights that share a scale in 4 bits: bitsandbytes' default."""

MODES = {
    "nf4": _four_bit("nf4", layer_error=0.15, logits_error=0.45),
    "fp4": _four_bit("fp4", layer_error=0.185, logits_error=0.55),
    "int8": Mode(
        name="int8", options=(("load_in_8bit", True),), layer="Linear8bitLt", bytes_per_weight=1.0, layer_error=0.06, logits_error=0.15
    ),
}
SENTENCE = "The ship left the harbour in the morning, and nobody on the pier knew when it would come back."
ROWS = 64
"""Rows of the random input for comparing layers; with 8, the worst of 210 layers varies by a tenth between draws."""

SLACK = 1.02
"""Allowed ratio of a model's footprint to its weights: the footprint includes small buffers."""


def checks(_job: Job) -> Checks:
    """Return the checks of each mode."""
    steps: tuple[tuple[str, Callable[[Job, Mode], str]], ...] = (
        ("load", load),
        ("generate", generate),
        ("layers", layers),
        ("logits", logits),
    )
    return tuple((f"{step}-{mode.name}", _of(mode, check)) for mode in MODES.values() for step, check in steps)


def _of(mode: Mode, check: Callable[[Job, Mode], str]) -> Check:
    def run(job: Job) -> str:
        require_avx2()
        require_plain(job)
        # It would warn about casting its input at each product, and push everything else out of the kept end of stderr.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        return subjects.model_note(job) + check(job, mode)

    return run


def require_plain(job: Job) -> None:
    """Raise NotRun for a model published quantized: there is nothing to compare it with."""
    if subjects.configuration(Path(text(job, "model"))).get("quantization_config"):
        raise NotRun("the given model is already quantized")


def require_avx2(machine: str = "", flags: str | None = None) -> None:
    """Raise NotRun on an x86 CPU without AVX2, which bitsandbytes does not support."""
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64"):
        return
    found = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace") if flags is None else flags
    if "avx2" not in found.split():
        raise NotRun("this CPU has no AVX2, which bitsandbytes requires")


def load(job: Job, mode: Mode) -> str:
    """Load: all linear layers but the head are quantized as requested, and the weights take correspondingly less memory."""
    import torch

    subject = subjects.causal(job)
    plain = subjects.model(subject)
    head = plain.get_output_embeddings()
    linear = {name: module for name, module in plain.named_modules() if isinstance(module, torch.nn.Linear) and module is not head}
    model = quantized(subject, mode.name)
    converted = _quantized_layers(model, mode)
    if converted.keys() != linear.keys() or not converted:
        wrong = sorted(converted.keys() ^ linear.keys()) or ["there are none"]
        raise Failed(f"{len(converted)} of {len(linear)} linear layers are {mode.layer}: not {first_few(wrong)}")
    _require_packed(converted, mode)
    before = plain.get_memory_footprint()
    saved = sum(module.weight.numel() * (module.weight.element_size() - mode.bytes_per_weight) for module in linear.values())
    rows = sum(module.out_features for module in linear.values()) if mode.layer == "Linear8bitLt" else 0
    bound = (before - saved + rows * SCALE) * SLACK
    # transformers does not count the scales.
    found = model.get_memory_footprint() + sum(map(_scales, converted.values()))
    if found > bound:
        raise Failed(f"takes {found:,} bytes, expected at most {bound:,.0f} ({before:,} unquantized)")
    return f"{len(converted)} {mode.layer}, {found:,} bytes, {found / before:.3f} of the {before:,} unquantized in {_short(plain)}"


def _scales(module: Any) -> int:
    """Return the bytes of a quantized layer's scales; in int8, the first product moves them elsewhere."""
    if hasattr(module.weight, "quant_state"):
        return int(module.weight.quant_state.absmax.nbytes)
    return int((module.state.SCB if module.weight.SCB is None else module.weight.SCB).nbytes)


def _quantized_layers(model: Any, mode: Mode) -> dict[str, Any]:
    import bitsandbytes

    return {name: module for name, module in model.named_modules() if isinstance(module, getattr(bitsandbytes.nn, mode.layer))}


def _require_packed(converted: dict[str, Any], mode: Mode) -> None:
    """Raise Failed for a layer whose weights are not in the mode's format."""
    import torch

    for name, module in converted.items():
        if mode.layer == "Linear4bit":
            found, expected = (module.weight.dtype, module.weight.quant_state.quant_type), (torch.uint8, mode.name)
        else:
            found, expected = (module.weight.dtype, "int8"), (torch.int8, "int8")
        if found != expected:
            raise Failed(f"{name} has {found[0]} as {found[1]} (expected {expected[0]} as {expected[1]})")


def generate(job: Job, mode: Mode) -> str:
    """Generate: the recorded tokens of the embedded model, or an answer with the expected text."""
    subject = subjects.causal(job)
    model = quantized(subject, mode.name)
    found = answers.complete(model, subject)
    expected = optional_text(job, "expect")
    if not mode.promises and expected is not None and expected not in found.text and found.text.strip():
        return f"{expected!r} is NOT in the answer {found.text.strip()!r}, which {mode.name} does not promise of a small model"
    return inference.verdict(job, subject, model, found)


def layers(job: Job, mode: Mode) -> str:
    """Give every quantized layer and its plain version the same random input: the outputs are close."""
    import torch

    subject = subjects.causal(job)
    plain, model = subjects.model(subject), quantized(subject, mode.name)
    torch.manual_seed(0)
    errors = {}
    for name, module in _quantized_layers(model, mode).items():
        original = plain.get_submodule(name)
        values = torch.randn(ROWS, original.in_features).to(original.weight.dtype)
        with torch.no_grad():
            errors[name] = _distance(module(values), original(values))
    worst = max(errors, key=lambda name: errors[name])
    words = f"{len(errors)} layers, the farthest {errors[worst]:.4f} from {_short(plain)}"
    if not errors[worst] <= mode.layer_error:  # `not` also catches NaN
        raise Failed(f"{words}: {worst} (expected at most {mode.layer_error})")
    return f"{words}, at most {mode.layer_error} allowed"


def logits(job: Job, mode: Mode) -> str:
    """Compare the logits of a sentence with those of the plain model."""
    import torch

    subject = subjects.causal(job)
    plain, model = subjects.model(subject), quantized(subject, mode.name)
    batch = subjects.tokenizer(subject)(SENTENCE, return_tensors="pt")
    with torch.no_grad():
        expected, found = (either(**batch).logits[0].float() for either in (plain, model))
    error = _distance(found - found.mean(-1, keepdim=True), expected - expected.mean(-1, keepdim=True))
    agree = float((expected.argmax(-1) == found.argmax(-1)).float().mean())
    words = f"{error:.4f} from {_short(plain)} over {len(expected)} tokens, the same next token after {agree:.0%} of them"
    if not error <= mode.logits_error:
        raise Failed(f"{words} (expected at most {mode.logits_error})")
    return f"{words}, at most {mode.logits_error} allowed"


def _distance(found: Any, expected: Any) -> float:
    """Return the norm of the difference relative to that of `expected`; NaN if something is not finite."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def _short(model: Any) -> str:
    return str(model.dtype).removeprefix("torch.")


_loaded: dict[tuple[ModelUnderTest, str], Any] = {}


def quantized(subject: ModelUnderTest, mode: str) -> Any:
    """Return the subject loaded in a mode; the previous one is freed first, so that at most two models are in memory."""
    if (subject, mode) not in _loaded:
        _loaded.clear()
        gc.collect()
        _loaded[subject, mode] = load_quantized(subject, MODES[mode])
    return _loaded[subject, mode]


def load_quantized(subject: ModelUnderTest, mode: Mode, **options: Any) -> Any:
    """Load the subject through BitsAndBytesConfig, with further `options` for from_pretrained."""
    from transformers import BitsAndBytesConfig

    return subjects.load(subject, quantization_config=BitsAndBytesConfig(**dict(mode.options)), **options).eval()
