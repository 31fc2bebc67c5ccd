"""What a model's weights take of memory, read from the headers of its safetensors files; nothing of a tensor is read.

A safetensors file begins with the length of its header, 8 bytes with the lowest first, and the header is JSON: for each tensor its
type, shape, and where its bytes begin and end.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.sources.wheel_store import human_size

LONGEST_HEADER = 100_000_000
"""The format's own limit, in bytes."""

PROCESS = 800_000_000
"""Bytes that a Python process with a CUDA torch and transformers has resident before it loads a model, as measured."""

DOCUMENTED = "001_b7c0ecb213780f53.txt, System Requirements: 2x model size for fp16, 1x for 8-bit"
"""The rule that stands beside our own numbers: 2 bytes a parameter, or 1."""

_KEPT = re.compile(r"embed|\bwte\b|\bwpe\b|\bshared\.weight|relative_attention_bias|lm_head|norm|\.experts\.")
"""Names of weights that bitsandbytes leaves as they are, though they are matrices: it converts linear layers alone. Experts are
no linear layers in transformers 5 either, which puts those of a layer into one tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMemory:
    """A model's weights: their number, the bytes they have in their files, and those they take when loaded as one type or another.

    `int8` and `nf4` are for LLM.int8() and 4-bit of bitsandbytes: linear layers converted, all else in bf16. The constants of the
    quantization come on top: up to a sixteenth of a byte a weight for nf4.
    """

    parameters: int
    stored: int
    bf16: int
    int8: int
    nf4: int

    @property
    def documented_fp16(self) -> int:
        return 2 * self.parameters

    @property
    def documented_8bit(self) -> int:
        return self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a header: its type as safetensors calls it, its shape, and its size in the file in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith(("F", "BF"))

    @property
    def is_linear(self) -> bool:
        return self.is_float and len(self.shape) == 2 and not _KEPT.search(self.name)


def estimate(folder: Path) -> ModelMemory:
    """What the model in `folder` takes.

    Raises UsageError for one without safetensors, with a file that is none or is cut off, or whose weights are quantized already.
    """
    method = _quantization(folder)
    tensors = [tensor for file in weight_files(folder) for tensor in read_header(file)]
    stored = sum(tensor.size for tensor in tensors)
    if method:
        problem = f"its weights are quantized already ({method}): they take about the {stored / 1e6:.0f} MB that they have in their files"
        raise UsageError(str(folder), problem, hint="for the other figures give the model that it was made from")
    linear = sum(tensor.count for tensor in tensors if tensor.is_linear)
    bf16 = sum(2 * tensor.count if tensor.is_float else tensor.size for tensor in tensors)
    return ModelMemory(
        parameters=sum(tensor.count for tensor in tensors if tensor.is_float),
        stored=stored,
        bf16=bf16,
        int8=bf16 - linear,
        nf4=bf16 - 2 * linear + math.ceil(linear / 2),
    )


def summary(folder: Path) -> str:
    """What the weights in `folder` take, in one line; nothing for a model whose size can't be told from headers."""
    try:
        found = estimate(folder)
    except UsageError:
        return ""
    sizes = (("bf16", found.bf16), ("int8", found.int8), ("nf4", found.nf4))
    return f"memory: {found.parameters:,} parameters take " + ", ".join(f"{human_size(size)} in {name}" for name, size in sizes)


def warning(folder: Path, available: int) -> str:
    """A sentence when loading the model in `folder` as it is stored takes more than the `available` bytes (0: unknown); else nothing.

    Nothing either for a model whose size can't be told from headers: it is no fault to load such a one.
    """
    try:
        weights = estimate(folder).stored
    except UsageError:
        return ""
    needed = weights + PROCESS
    if not available or needed <= available:
        return ""
    return (
        f"memory: {folder.name} has {weights / 1e9:.1f} GB of weights and Python takes {PROCESS / 1e9:.1f} GB beside them, "
        f"but there are {available / 1e9:.1f} GB: the kernel may kill it; give it more, or take a smaller model"
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that transformers would load: one, those of an index, or whatever safetensors there are. Raises UsageError."""
    one, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if one.is_file():
        return (one,)
    if index.is_file():
        return _shards(index)
    found = tuple(sorted(folder.glob("*.safetensors")))
    if not found:
        others = sorted(path.name for pattern in ("*.bin", "*.gguf", "*.pt", "*.h5") for path in folder.glob(pattern))
        problem = f"no safetensors in it (found {', '.join(others) or 'no weights at all'}), so its size can't be told without loading it"
        raise UsageError(str(folder), problem, hint="load it once and write it with save_pretrained, which makes safetensors")
    return found


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = tuple(index.parent / str(name) for name in sorted(names))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(str(index), "no index of safetensors: expected JSON with a weight_map", hint="fetch it again") from error
    for file in files:
        if not file.is_file():
            raise UsageError(str(file), "missing, though the model's index names it", hint="fetch the model again")
    return files


def read_header(file: Path) -> tuple[Tensor, ...]:
    """The tensors in `file`. Raises UsageError for what is no safetensors file, or not a whole one."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > LONGEST_HEADER:
                raise ValueError(f"found a header of {length} bytes, expected at most {LONGEST_HEADER}")
            tensors = tuple(_tensors(json.loads(stream.read(length))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"no safetensors file: {error}"
        raise UsageError(str(file), problem, hint="fetch it again; a Git LFS pointer stands for a file: git lfs pull") from error
    except OSError as error:
        raise UsageError(str(file), f"can't be read: {error.strerror}", hint="chmod a+r it") from error
    expected = 8 + length + sum(tensor.size for tensor in tensors)
    if file.stat().st_size != expected:
        raise UsageError(str(file), f"cut off: found {file.stat().st_size} bytes, expected {expected}", hint="fetch it again")
    return tensors


def _tensors(header: Mapping[str, object]) -> Iterator[Tensor]:
    for name, entry in header.items():
        if name != "__metadata__":
            if not isinstance(entry, dict):
                raise TypeError(f"found {entry!r} for the tensor {name}")
            begin, end = (int(place) for place in entry["data_offsets"])
            yield Tensor(name=name, dtype=str(entry["dtype"]), shape=tuple(int(size) for size in entry["shape"]), size=end - begin)


def _quantization(folder: Path) -> str:
    """How the configuration says that the weights are quantized, empty for not at all."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(found.get("quant_method", "by an unnamed method")) if isinstance(found, dict) else ""
