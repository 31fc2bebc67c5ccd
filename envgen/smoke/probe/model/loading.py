"""Ways to load weights: safetensors, .bin, and which takes precedence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import answers
import model_under_test as subjects
from harness import Failed, Job, NotRun, first_few
from model_under_test import ENCODER, ModelUnderTest
from untrusted_code import bait, require_absent

HEADS = ("cls.", "pooler.", "lm_head.", "classifier.")  # an encoder is often published with a head for another task


def load_safetensors(job: Job) -> str:
    """Load the given model from safetensors; model and file have the same weights."""
    subject = subjects.given(job)
    if subject.parameters is None:
        raise NotRun(f"no safetensors file in {subject.folder}")
    subjects.release()
    model, info = subjects.load(subject, use_safetensors=True, output_loading_info=True)
    found = {key: sorted(map(str, info.get(key) or ())) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    tolerated = HEADS if subject.kind == ENCODER else ()
    wrong = {
        what: names
        for what, keys in found.items()
        if (names := [key for key in keys if not key.removeprefix(model.base_model_prefix + ".").startswith(tolerated)])
    }
    if wrong:
        raise Failed("; ".join(f"{what}: {first_few(names)}" for what, names in wrong.items()))
    unused = sum(map(len, found.values()))
    heads = f", {unused} weights of a head not matched" if unused else ""
    return f"{type(model).__name__}, {model.num_parameters():,} parameters, {_short(model.dtype)}, {model.device}{heads}"


def load_bin(job: Job) -> str:
    """Write the model as pytorch_model.bin and load it: the same weights, bit for bit, and the same result."""
    import torch

    subject = subjects.small(job)
    with subjects.scratch() as folder:
        plain = subjects.model(subject)
        subjects.copy_without_weights(subject.folder, folder)
        torch.save(plain.state_dict(), folder / "pytorch_model.bin")
        model = subjects.load(subject, folder).eval()
        different = _different(model, plain)
        if different:
            raise Failed(f"loaded from .bin, {len(different)} weights differ: {first_few(different)}")
        expected = answers.forward(plain, subject)
        error = answers.require_close(answers.forward(model, subject), expected, str(model.dtype), "loading a .bin")
    return f"{subject.name}: {len(model.state_dict())} weights equal, largest difference of the output {error:.1e}"


def prefer_safetensors(job: Job) -> str:
    """Put a .bin with other weights, then one that executes code, beside safetensors: neither is read."""
    import torch

    subject = subjects.small(job)
    with subjects.scratch() as folder:
        plain = subjects.model(subject)
        subjects.copy_without_weights(subject.folder, folder)
        subjects.copy_safetensors(subject.folder, folder)
        other = {name: weight + 1 for name, weight in plain.state_dict().items()}
        torch.save(other, folder / "pytorch_model.bin")
        _require_weights(subject, folder, plain, "a .bin with other weights")
        marker = folder / "executed"
        torch.save({"bait": bait(marker)}, folder / "pytorch_model.bin")
        _require_weights(subject, folder, plain, "a .bin that executes code")
        require_absent(marker, "the .bin beside the safetensors file")
    return f"{subject.name}: safetensors read beside a .bin with other weights and beside one that executes code"


def _require_weights(subject: ModelUnderTest, folder: Path, plain: Any, beside: str) -> None:
    """Raise Failed unless the model in `folder` has the weights of `plain`."""
    different = _different(subjects.load(subject, folder), plain)
    if different:
        raise Failed(f"beside {beside}, {len(different)} weights are not those of the safetensors file")


def _different(model: Any, plain: Any) -> list[str]:
    """Return the names of the weights that differ between two models."""
    import torch

    found, expected = model.state_dict(), plain.state_dict()
    absent = sorted(found.keys() ^ expected.keys())
    shared = sorted(found.keys() & expected.keys())
    return absent + [name for name in shared if not torch.equal(found[name], expected[name])]


def _short(dtype: object) -> str:
    """Return a dtype without its module: bfloat16."""
    return str(dtype).removeprefix("torch.")
