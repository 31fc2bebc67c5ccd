"""Runs inside an image, beside the probe: each check with something wrong that it is there to find.

What is wrong is a model's file, or a function of torch, transformers or bitsandbytes that does what it should not; the probe itself is
as it is, but for where the checks of a GPU run. A case is JSON on a line of its own: its name, the check's status, and its detail.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

EMBEDDED = Path("/envgen/embedded")
RECORDED = json.loads((EMBEDDED / "recorded.json").read_text())
JOB: dict[str, Any] = {"model": str(EMBEDDED), "embedded": str(EMBEDDED), "recorded": RECORDED}
LAYER = "model.layers.1.mlp.up_proj"

PLACES = ["/envgen/probe", "/envgen/probe/static", "/envgen/probe/model"]
sys.path[:0] = PLACES
import answers  # noqa: E402  (the probe's modules are found only now)
import convert  # noqa: E402
import cpu  # noqa: E402
import gpu  # noqa: E402
import harness  # noqa: E402
import model_under_test  # noqa: E402
import quantized  # noqa: E402
import training  # noqa: E402

sys.path[:] = [place for place in sys.path if place not in PLACES]

Case = Callable[[Path], contextlib.AbstractContextManager[tuple[Callable[[Any], str], dict[str, Any]]]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Callable[..., Iterator[Any]]], None]:
    """Adds a case: a function that makes something wrong, yields the check and its job, and makes it right again."""

    def add(function: Callable[..., Iterator[Any]]) -> None:
        CASES[name] = contextlib.contextmanager(function)

    return add


def of_cpu(name: str, job: dict[str, Any]) -> Callable[[Any], str]:
    return dict(cpu.checks(job))[name]


def of_quant(name: str) -> Callable[[Any], str]:
    return dict(quantized.checks(JOB))[name]


# Models with something wrong


def copied(folder: Path) -> dict[str, Any]:
    """The embedded model in a folder of its own, and the job for it."""
    shutil.copytree(EMBEDDED, folder, dirs_exist_ok=True)
    return {**JOB, "model": str(folder)}


def change_weights(folder: Path, change: Callable[[bytes, dict[str, Any]], bytes]) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    file.chmod(0o644)
    file.write_bytes(change(content, json.loads(content[8:size])))


@case("tokenizer-round-trip: two tokens are swapped")
def _(folder: Path) -> Iterator[Any]:
    job = copied(folder)
    file = folder / "tokenizer.json"
    table = json.loads(file.read_text())
    first, last = RECORDED["prompt_ids"][1], RECORDED["prompt_ids"][-1]
    swapped = {first: last, last: first}
    table["model"]["vocab"] = {word: swapped.get(number, number) for word, number in table["model"]["vocab"].items()}
    file.write_text(json.dumps(table))
    yield of_cpu("tokenizer-round-trip", job), job


@case("load-safetensors: a weight has another name")
def _(folder: Path) -> Iterator[Any]:
    job = copied(folder)
    change_weights(folder, lambda content, _header: content.replace(b"layers.1.mlp.up_proj", b"layers.9.mlp.up_proj"))
    yield of_cpu("load-safetensors", job), job


def zeros_in(folder: Path, *layers: str) -> dict[str, Any]:
    """The embedded model with zeros for the weights of these layers, and the job for it."""
    job = copied(folder)

    def zero(content: bytes, header: dict[str, Any]) -> bytes:
        body = len(content) - max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        for layer in layers:
            start, end = (body + offset for offset in header[f"{layer}.weight"]["data_offsets"])
            content = content[:start] + bytes(end - start) + content[end:]
        return content

    change_weights(folder, zero)
    return job


@case("generate: a layer is all zeros")
def _(folder: Path) -> Iterator[Any]:
    job = zeros_in(folder, LAYER)
    yield of_cpu("generate", job), job


@case("generate: half the layers are all zeros")
def _(folder: Path) -> Iterator[Any]:
    job = zeros_in(folder, *(f"model.layers.{number}.{part}" for number in (0, 2) for part in ("mlp.up_proj", "self_attn.v_proj")))
    yield of_cpu("generate", job), job


@case("generate: one token is not the recorded one")
def _(_folder: Path) -> Iterator[Any]:
    tokens = RECORDED["tokens"]
    other = {**RECORDED, "tokens": [*tokens[:-2], tokens[-2] + 1, tokens[-1]]}
    with mock.patch.object(model_under_test, "recorded", return_value=other):
        job = {**JOB, "recorded": other}
        yield of_cpu("generate", job), job


# Libraries that do what they should not


def loading_with(wrong: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """Has `wrong` load in place of AutoModelForCausalLM: it is given the true function, and the options."""
    import transformers

    true = transformers.AutoModelForCausalLM.from_pretrained
    return mock.patch.object(
        transformers.AutoModelForCausalLM, "from_pretrained", lambda folder, **options: wrong(functools.partial(true, folder), options)
    )


@case("pipeline: it adds a letter")
def _(_folder: Path) -> Iterator[Any]:
    import transformers

    true = transformers.TextGenerationPipeline.postprocess

    def wrong(*words: Any, **options: Any) -> Any:
        return [{**answer, "generated_text": f"{answer['generated_text']}x"} for answer in true(*words, **options)]

    with mock.patch.object(transformers.TextGenerationPipeline, "postprocess", wrong):
        yield of_cpu("pipeline", JOB), JOB


def half_the_layers_wrong(load: Any, options: dict[str, Any]) -> Any:
    import torch

    model = load(**options)
    if options.get("device_map") == "auto":
        with torch.no_grad():
            for layer in model.model.layers[::2]:
                layer.mlp.down_proj.weight.mul_(-1)
    return model


@case("device-map-auto: half the layers are wrong")
def _(_folder: Path) -> Iterator[Any]:
    with loading_with(half_the_layers_wrong):
        yield of_cpu("device-map-auto", JOB), JOB


@case("load-bin: a weight differs in its last bit")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    true = torch.load

    def wrong(*words: Any, **options: Any) -> Any:
        state = true(*words, **options)
        state[f"{LAYER}.weight"].view(torch.int16)[0, 0] ^= 1
        return state

    with mock.patch.object(torch, "load", wrong):
        yield of_cpu("load-bin", JOB), JOB


def trusting(true: Any) -> Any:
    return lambda *words, **options: true(*words, **{**options, "weights_only": False})


@case("refuse-pickle: it is executed")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    with mock.patch.object(torch, "load", trusting(torch.load)):
        yield of_cpu("refuse-pickle", JOB), JOB


@case("refuse-pickle: it is refused for another reason")
def _(_folder: Path) -> Iterator[Any]:
    def wrong(_load: Any, _options: dict[str, Any]) -> Any:
        raise OSError("no such file")

    with loading_with(wrong):
        yield of_cpu("refuse-pickle", JOB), JOB


@case("refuse-pickle: nothing is refused")
def _(_folder: Path) -> Iterator[Any]:
    with loading_with(lambda _load, _options: None):
        yield of_cpu("refuse-pickle", JOB), JOB


def is_beside_bin(load: Any) -> bool:
    return (Path(load.args[0]) / "pytorch_model.bin").exists()


@case("prefer-safetensors: the .bin is read")
def _(_folder: Path) -> Iterator[Any]:
    def wrong(load: Any, options: dict[str, Any]) -> Any:
        return load(**options, **({"use_safetensors": False} if is_beside_bin(load) else {}))

    with loading_with(wrong):
        yield of_cpu("prefer-safetensors", JOB), JOB


@case("prefer-safetensors: the .bin is executed")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    def wrong(load: Any, options: dict[str, Any]) -> Any:
        if is_beside_bin(load):
            torch.load(Path(load.args[0]) / "pytorch_model.bin", weights_only=False)
        return load(**options)

    with loading_with(wrong):
        yield of_cpu("prefer-safetensors", JOB), JOB


@case("disk-offload: all is kept in memory")
def _(_folder: Path) -> Iterator[Any]:
    def wrong(load: Any, options: dict[str, Any]) -> Any:
        return load(**{name: value for name, value in options.items() if name != "max_memory"})

    with loading_with(wrong):
        yield of_cpu("disk-offload", JOB), JOB


@case("disk-offload: half the layers are wrong")
def _(_folder: Path) -> Iterator[Any]:
    def wrong(load: Any, options: dict[str, Any]) -> Any:
        model = load(**options)
        if "offload_folder" in options:
            for layer in model.model.layers[::2]:
                layer.register_forward_hook(
                    lambda _layer, _inputs, output: -output if hasattr(output, "neg") else (-output[0], *output[1:])
                )
        return model

    with loading_with(wrong):
        yield of_cpu("disk-offload", JOB), JOB


@case("trainer-step: a step does nothing")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    def stand_still(*_words: Any) -> None:
        pass

    with mock.patch.object(torch.optim.AdamW, "step", stand_still):
        yield of_cpu("trainer-step", JOB), JOB


@case("trainer-step: the loss grows")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    def ascend(optimizer: Any, closure: Any = None) -> None:
        with torch.no_grad():
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        weight.add_(weight.grad, alpha=0.1)

    with mock.patch.object(torch.optim.AdamW, "step", ascend):
        yield of_cpu("trainer-step", JOB), JOB


@case("refuse-remote-code: it is trusted")
def _(_folder: Path) -> Iterator[Any]:
    import transformers

    true = transformers.AutoConfig.from_pretrained
    wrong = lambda *words, **options: true(*words, **{**options, "trust_remote_code": True})  # noqa: E731
    with mock.patch.object(transformers.AutoConfig, "from_pretrained", wrong):
        yield of_cpu("refuse-remote-code", JOB), JOB


# Encoders


def encoder(folder: Path, change: Callable[[Any], object] = lambda _model: None, *, masked: bool = False) -> dict[str, Any]:
    """A small encoder with random weights, and the job for it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(EMBEDDED))
    if masked:
        tokenizer.add_special_tokens({"mask_token": "<mask>"})
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    model = (BertForMaskedLM if masked else BertModel)(config)
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"model": str(folder), "embedded": str(EMBEDDED)}


@case("encode: nothing")
def _(folder: Path) -> Iterator[Any]:
    job = encoder(folder)
    yield of_cpu("encode", job), job


@case("encode: a weight is no number")
def _(folder: Path) -> Iterator[Any]:
    job = encoder(folder, lambda model: model.encoder.layer[1].output.dense.weight.fill_(float("nan")))
    yield of_cpu("encode", job), job


@case("encode: every sentence is the same to it")
def _(folder: Path) -> Iterator[Any]:
    def alike(model: Any) -> None:
        for table in (model.embeddings.word_embeddings.weight, model.embeddings.position_embeddings.weight):
            table[:] = table[5]

    job = encoder(folder, alike)
    yield of_cpu("encode", job), job


@case("encode: dropout stays on")
def _(folder: Path) -> Iterator[Any]:
    import transformers

    job = encoder(folder)
    with mock.patch.object(transformers.BertModel, "eval", transformers.BertModel.train):
        yield of_cpu("encode", job), job


@case("encode: padding counts")
def _(folder: Path) -> Iterator[Any]:
    import transformers

    job = encoder(folder)
    true = transformers.BertModel.forward

    def wrong(model: Any, *words: Any, attention_mask: Any = None, **options: Any) -> Any:
        return true(model, *words, attention_mask=None if attention_mask is None else attention_mask * 0 + 1, **options)

    with mock.patch.object(transformers.BertModel, "forward", wrong):
        yield of_cpu("encode", job), job


@case("pipeline: nothing, of an encoder")
def _(folder: Path) -> Iterator[Any]:
    job = encoder(folder)
    yield of_cpu("pipeline", job), job


@case("pipeline: features are others")
def _(folder: Path) -> Iterator[Any]:
    import transformers

    job = encoder(folder)
    true = transformers.FeatureExtractionPipeline.postprocess

    def wrong(*words: Any, **options: Any) -> Any:
        found = true(*words, **options)
        found[0][0][0] += 1.0
        return found

    with mock.patch.object(transformers.FeatureExtractionPipeline, "postprocess", wrong):
        yield of_cpu("pipeline", job), job


@case("pipeline: another word is filled in")
def _(folder: Path) -> Iterator[Any]:
    import transformers

    job = encoder(folder, masked=True)
    true = transformers.FillMaskPipeline.postprocess
    with mock.patch.object(transformers.FillMaskPipeline, "postprocess", lambda *words, **options: true(*words, **options)[::-1]):
        yield of_cpu("pipeline", job), job


# Quantized models


def scales(module: Any) -> Any:
    """The scales of a quantized layer that no product was made with yet."""
    return module.weight.quant_state.absmax if hasattr(module.weight, "quant_state") else module.weight.SCB


def quantized_with(change: Callable[[Any], object]) -> Any:
    """Has `change` change each model that is loaded quantized."""
    true = quantized.load_quantized

    def wrong(*words: Any, **options: Any) -> Any:
        model = true(*words, **options)
        change(model)
        return model

    return mock.patch.object(quantized, "load_quantized", wrong)


def one_layer_is_off_by_a_fifth(model: Any) -> None:
    scales(model.get_submodule(LAYER)).mul_(1.2)


def half_the_layers_are_off_by_half(model: Any) -> None:
    for layer in model.model.layers[::2]:
        for module in (layer.mlp.up_proj, layer.mlp.down_proj, layer.self_attn.v_proj):
            scales(module).mul_(1.5)


def half_the_layers_are_nothing(model: Any) -> None:
    for layer in model.model.layers[::2]:
        for module in (layer.mlp.up_proj, layer.self_attn.v_proj):
            scales(module).mul_(0.0)


def weights_are_kept_as_well(model: Any) -> None:
    import torch

    model.register_buffer("kept", torch.zeros(100_000, dtype=torch.bfloat16))


def quantized_cases(mode: str) -> None:
    for check, words, change in (
        ("load", "a part of the plain weights is kept", weights_are_kept_as_well),
        ("generate", "half the layers are nothing", half_the_layers_are_nothing),
        ("layers", "one layer is off by a fifth", one_layer_is_off_by_a_fifth),
        ("logits", "half the layers are off by half", half_the_layers_are_off_by_half),
    ):

        @case(f"{check}-{mode}: nothing")
        def _(_folder: Path, check: str = check) -> Iterator[Any]:
            yield of_quant(f"{check}-{mode}"), JOB

        @case(f"{check}-{mode}: {words}")
        def _(_folder: Path, check: str = check, change: Callable[[Any], object] = change) -> Iterator[Any]:
            with quantized_with(change):
                yield of_quant(f"{check}-{mode}"), JOB

    @case(f"load-{mode}: it was never quantized")
    def _(_folder: Path) -> Iterator[Any]:
        with mock.patch.object(quantized, "load_quantized", lambda given, _mode: model_under_test.load(given)):
            yield of_quant(f"load-{mode}"), JOB


for each in quantized.MODES:
    quantized_cases(each)


# A GPU's checks, on the CPU


@case("matmul: nothing")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    with (
        mock.patch.object(torch.cuda, "device_count", return_value=1),
        mock.patch.object(torch.Tensor, "to", lambda matrix, _place: matrix),
    ):
        yield gpu.matmul, {}


@case("matmul: a GPU multiplies wrongly")
def _(_folder: Path) -> Iterator[Any]:
    import torch

    wrong = lambda matrix, _place: matrix * 1.01  # noqa: E731
    with mock.patch.object(torch.cuda, "device_count", return_value=1), mock.patch.object(torch.Tensor, "to", wrong):
        yield gpu.matmul, {}


def on_cpu(mode: str) -> Callable[[Any], str]:
    return lambda job: str(gpu.complete_on(job, "cpu", mode))


@case("generate-cuda: half the layers are wrong")
def _(_folder: Path) -> Iterator[Any]:
    with loading_with(lambda load, options: half_the_layers_wrong(load, {**options, "device_map": "auto"})):
        yield on_cpu(""), JOB


def quantized_on_gpu(mode: str) -> None:
    @case(f"generate-cuda-{mode}: half the layers are nothing")
    def _(_folder: Path) -> Iterator[Any]:
        with quantized_with(half_the_layers_are_nothing):
            yield on_cpu(mode), JOB


for each in ("nf4", "int8"):
    quantized_on_gpu(each)


@case("device-map-auto-cuda: the weights are on the CPU")
def _(_folder: Path) -> Iterator[Any]:
    yield gpu.device_map_auto, JOB


@case("trainer-step-cuda: it trains on the CPU")
def _(_folder: Path) -> Iterator[Any]:
    yield lambda job: str(training.train(model_under_test.small(job), use_cpu=False)), JOB


@case("peak-memory: no GPU was used")
def _(_folder: Path) -> Iterator[Any]:
    yield gpu.peak_memory, JOB


# Converting


@case("convert-gguf: the file is not there")
def _(folder: Path) -> Iterator[Any]:
    yield convert.convert, {"gguf": str(folder / "model.gguf"), "output": str(folder / "out"), "extra_path": str(folder)}


@case("convert-gguf: the package that reads it is not there")
def _(folder: Path) -> Iterator[Any]:
    (folder / "model.gguf").write_bytes(b"GGUF\x03\0\0\0")
    yield convert.convert, {"gguf": str(folder / "model.gguf"), "output": str(folder / "out"), "extra_path": str(folder)}


def main() -> None:
    report = harness.take_stdout()
    for name, make in CASES.items():
        model_under_test.release()
        for kept in (model_under_test.tokenizer, answers.completion, answers.embedding):
            kept.cache_clear()
        quantized._loaded.clear()
        with tempfile.TemporaryDirectory() as folder, make(Path(folder)) as (check, job):
            found = harness._outcome(check, job)
        report.write(json.dumps([name, found["status"], found["detail"]]) + "\n")
        report.flush()


if __name__ == "__main__":
    main()
