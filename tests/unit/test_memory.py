"""envgen.smoke.memory: what a model takes, from headers alone, against what was measured."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from envgen.core.errors import UsageError
from envgen.smoke import memory
from envgen.smoke.model import EMBEDDED

SIZES = {"F32": 4, "BF16": 2, "F16": 2, "I64": 8, "U8": 1}
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
LINEAR: Shapes = {"model.layers.0.mlp.up_proj.weight": ("BF16", (100, 10))}


def smollm2() -> Shapes:
    """SmolLM2-135M as it is on disk: the output embeddings are the input's, and stand there once."""
    layer = {
        "self_attn.q_proj": (576, 576), "self_attn.k_proj": (192, 576), "self_attn.v_proj": (192, 576), "self_attn.o_proj": (576, 576),
        "mlp.gate_proj": (1536, 576), "mlp.up_proj": (1536, 576), "mlp.down_proj": (576, 1536),
        "input_layernorm": (576,), "post_attention_layernorm": (576,),
    }  # fmt: skip
    names = {f"model.layers.{number}.{name}.weight": shape for number in range(30) for name, shape in layer.items()}
    names |= {"model.embed_tokens.weight": (49152, 576), "model.norm.weight": (576,)}
    return {name: ("BF16", shape) for name, shape in names.items()}


def header(shapes: Shapes) -> bytes:
    """The header of a safetensors file with these tensors, with its length before it."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (dtype, shape) in shapes.items():
        size = SIZES[dtype] * math.prod(shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def write(file: Path, shapes: Shapes) -> Path:
    """A file of that content, with a hole for the tensors: it takes no disk."""
    content = header(shapes)
    with file.open("wb") as stream:
        stream.write(content)
        stream.truncate(len(content) + sum(SIZES[dtype] * math.prod(shape) for dtype, shape in shapes.values()))
    return file


def test_the_estimate_is_what_was_measured(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", smollm2())
    found = memory.estimate(tmp_path)
    assert found.parameters == 134_515_008
    measured = {"bf16": 256, "int8": 155, "nf4": 104}  # MiB, by get_memory_footprint of the loaded models
    for kind, mebibytes in measured.items():
        assert getattr(found, kind) / 2**20 == pytest.approx(mebibytes, rel=0.01), kind
    assert (found.documented_fp16, found.documented_8bit) == (269_030_016, 134_515_008)


def test_the_embedded_model() -> None:
    found = memory.estimate(EMBEDDED)
    assert found.parameters == 693_632
    assert found.stored == found.bf16 == 2 * found.parameters
    assert found.nf4 < found.int8 < found.bf16


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight", "lm_head.weight", "transformer.wte.weight", "transformer.wpe.weight", "shared.weight",
        "embed_out.weight", "bert.embeddings.word_embeddings.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "model.layers.0.mlp.experts.7.up_proj.weight",
    ],
)  # fmt: skip
def test_what_is_no_linear_layer_is_not_converted(tmp_path: Path, name: str) -> None:
    write(tmp_path / "model.safetensors", {name: ("BF16", (100, 10))})
    found = memory.estimate(tmp_path)
    assert (found.bf16, found.int8, found.nf4) == (2000, 2000, 2000)


@pytest.mark.parametrize("name", ["model.layers.0.mlp.shared_expert.up_proj.weight", "h.0.attn.c_attn.weight", "classifier.dense.weight"])
def test_what_is_one_is_converted(tmp_path: Path, name: str) -> None:
    write(tmp_path / "model.safetensors", {name: ("BF16", (100, 10))})
    found = memory.estimate(tmp_path)
    assert (found.bf16, found.int8, found.nf4) == (2000, 1000, 500)


def test_other_types_and_shapes(tmp_path: Path) -> None:
    shapes: Shapes = {"a.weight": ("F32", (3, 5)), "a.bias": ("F32", (5,)), "conv.weight": ("F16", (2, 2, 2)), "ids": ("I64", (4, 4))}
    write(tmp_path / "model.safetensors", shapes)
    found = memory.estimate(tmp_path)
    assert found == memory.ModelMemory(parameters=28, stored=4 * 20 + 2 * 8 + 128, bf16=2 * 28 + 128, int8=56 - 15 + 128, nf4=26 + 8 + 128)


def test_all_shards_of_an_index_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "model-1.safetensors", LINEAR)
    write(tmp_path / "model-2.safetensors", {"b.weight": ("BF16", (7, 1))})
    write(tmp_path / "consolidated.safetensors", LINEAR)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert memory.estimate(tmp_path).parameters == 1007
    write(tmp_path / "model.safetensors", LINEAR)
    assert memory.estimate(tmp_path).parameters == 1000, "transformers takes the one file before the index"


def test_a_shard_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    with pytest.raises(UsageError, match=r"model-1\.safetensors: missing, but the model's index names it"):
        memory.estimate(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": []}', "{}"])
def test_an_index_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UsageError, match="invalid safetensors index"):
        memory.estimate(tmp_path)


@pytest.mark.parametrize(("others", "words"), [(("pytorch_model.bin", "x.gguf"), "pytorch_model.bin, x.gguf"), ((), "no weights at all")])
def test_a_model_without_safetensors(tmp_path: Path, others: tuple[str, ...], words: str) -> None:
    for name in others:
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        memory.estimate(tmp_path)
    assert f"has no safetensors (found {words})" in str(caught.value)
    assert "save_pretrained" in caught.value.hint
    assert memory.warning(tmp_path, 1) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        (20).to_bytes(8, "little") + b"{",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": []}',
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (40).to_bytes(8, "little") + b'{"a":{"shape":[1],"data_offsets":[0,1]}}',
    ],
)
def test_a_file_that_is_no_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match=r"model\.safetensors: not a safetensors file: ") as caught:
        memory.estimate(tmp_path)
    assert "git lfs pull" in caught.value.hint


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", LINEAR)
    size = file.stat().st_size
    with file.open("ab") as stream:
        stream.truncate(size - 1)
    with pytest.raises(UsageError, match=f"truncated: found {size - 1} bytes, expected {size}"):
        memory.estimate(tmp_path)


def test_weights_that_are_quantized_already(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"a.weight": ("U8", (1000, 5000))})
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    with pytest.raises(UsageError, match=r"already quantized \(gptq\): they take about 5 MB"):
        memory.estimate(tmp_path)


def test_a_warning_before_memory_runs_out(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", {"a.weight": ("F32", (1_000_000_000,))})
    enough = 4_000_000_000 + memory.PROCESS
    assert memory.warning(tmp_path, enough) == ""
    assert memory.warning(tmp_path, 0) == "", "an engine that does not say how much it has"
    said = memory.warning(tmp_path, enough - 1)
    assert f"memory: {tmp_path.name} has 4.0 GB of weights" in said
    assert "but only 4.8 GB are available" in said
    assert "use a smaller model" in said
