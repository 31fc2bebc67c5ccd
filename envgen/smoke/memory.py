"""Computes the memory for a model's weights from the headers of its safetensors files, without reading any tensor.

A safetensors file begins with the length of its header (8 bytes, little-endian); the header is JSON with the type, shape and byte range
of each tensor.
"""

import errno
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envgen.core.errors import UsageError
from envgen.core.plain_files import open_plain, read_plain
from envgen.core.text import human_size
from envgen.oci.documents import parse_json

LONGEST_HEADER = 20_000_000
"""Bytes: enough for 150,000 tensors in one file; also the limit of an index of files. The format allows five times as much, but a
malicious header of that size takes gigabytes of memory."""

LARGEST_CONFIGURATION = 4_000_000
"""The most bytes read of a config.json."""

MOST_AXES = 32
LARGEST_NUMBER = 1 << 62

_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Bits per number of each type. Sizes of unknown types are not checked."""

PROCESS = 800_000_000
"""Measured resident bytes of a Python process with a CUDA torch and transformers before it loads a model."""

DOCUMENTED = "001_b7c0ecb213780f53.txt, System Requirements: 2x model size for fp16, 1x for 8-bit"
"""The documented rule shown beside our own numbers: 2 bytes per parameter, or 1."""

_KEPT = re.compile(r"embed|\bwte\b|\bwpe\b|\bshared\.weight|relative_attention_bias|lm_head|norm|\.experts\.")
"""Names of matrices that bitsandbytes does not convert, since it only converts linear layers. Experts are not linear layers in
transformers 5 either, which combines those of a layer into one tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMemory:
    """A model's weights: their number, their bytes in the files, and their bytes when loaded as different types.

    `int8` and `nf4` are for bitsandbytes' LLM.int8() and 4-bit: linear layers converted, everything else in bf16. Quantization constants
    are not included: up to a sixteenth of a byte per weight for nf4.
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
    """One tensor of a header: its type in safetensors' notation, its shape, and its size in the file in bytes."""

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
    """Computes the memory for the model in `folder`.

    Raises UsageError for a model without safetensors, with an invalid or truncated file, or whose weights are already quantized.
    """
    method = _quantization(folder)
    tensors = [tensor for file in weight_files(folder) for tensor in read_header(file)]
    stored = sum(tensor.size for tensor in tensors)
    if method:
        size = human_size(stored, "MB")
        problem = f"its weights are already quantized ({method}): they take about {size}, as in the files"
        raise UsageError(str(folder), problem, hint="for the other figures, use the original model")
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
    """The memory for the weights in `folder`, in one line; empty if the size can't be read from headers."""
    try:
        memory = estimate(folder)
    except UsageError:
        return ""
    sizes = (("bf16", memory.bf16), ("int8", memory.int8), ("nf4", memory.nf4))
    return f"memory: {memory.parameters:,} parameters take " + ", ".join(f"{human_size(size, 'MB')} in {name}" for name, size in sizes)


def warning(folder: Path, available: int) -> str:
    """A warning if loading the model in `folder` as stored takes more than the `available` bytes (0: unknown); else empty.

    Empty if the size can't be read from headers; such models still load.
    """
    try:
        weights = estimate(folder).stored
    except UsageError:
        return ""
    needed = weights + PROCESS
    if not available or needed <= available:
        return ""
    return (
        f"memory: {folder.name} has {human_size(weights, 'GB')} of weights, Python takes another {human_size(PROCESS, 'GB')}, "
        f"but only {human_size(available, 'GB')} are available: the kernel may kill it; give it more, or use a smaller model"
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that transformers would load: a single one, those of an index, or all safetensors. Raises UsageError."""
    one, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if one.is_file():
        return (one,)
    if index.is_file():
        return _shards(index)
    files = tuple(sorted(folder.glob("*.safetensors")))
    if not files:
        others = sorted(path.name for pattern in ("*.bin", "*.gguf", "*.pt", "*.h5") for path in folder.glob(pattern))
        problem = f"has no safetensors (found {', '.join(others) or 'no weights at all'}), so its size is unknown until it is loaded"
        raise UsageError(str(folder), problem, hint="load it once and write it with save_pretrained, which makes safetensors")
    return files


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = {str(name) for name in _object(parse_json(read_plain(index, LONGEST_HEADER)))["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(str(index), "invalid safetensors index: expected JSON with a weight_map", hint="fetch it again") from error
    except OSError as error:
        raise _unreadable(index, error) from error
    if odd := next((name for name in sorted(names) if name != Path(name).name or "\0" in name), None):
        raise UsageError(str(index), f"names {odd[:100]!a}, which is not a file in the model's folder", hint="fetch the model again")
    files = tuple(index.parent / name for name in sorted(names))
    for file in files:
        if not file.is_file():
            raise UsageError(str(file), "missing, but the model's index names it", hint="fetch the model again")
    return files


def _unreadable(file: Path, error: OSError) -> UsageError:
    hint = "chmod a+r it" if error.errno == errno.EACCES else "fetch the model again"
    return UsageError(str(file), f"can't be read: {error.strerror}", hint=hint)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("expected a JSON object")
    return value


def read_header(file: Path) -> tuple[Tensor, ...]:
    """The tensors in `file`. Raises UsageError for an invalid or truncated safetensors file."""
    try:
        with open_plain(file) as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > LONGEST_HEADER:
                raise ValueError(f"found a header of {length} bytes, expected at most {LONGEST_HEADER}")
            tensors = tuple(_tensors(_object(parse_json(stream.read(length)))))
            size = os.fstat(stream.fileno()).st_size
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"not a safetensors file: {error}"
        raise UsageError(str(file), problem, hint="fetch it again; if it is a Git LFS pointer: git lfs pull") from error
    except OSError as error:
        raise _unreadable(file, error) from error
    expected = 8 + length + sum(tensor.size for tensor in tensors)
    if size != expected:
        raise UsageError(str(file), f"truncated: found {size} bytes, expected {expected}", hint="fetch it again")
    return tensors


def _tensors(header: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors of a header; they must be contiguous, and their sizes must match their shapes."""
    ranges = []
    for name, entry in header.items():
        if name != "__metadata__":
            if not isinstance(entry, dict):
                raise TypeError(f"found {_short(entry)} for the tensor {_short(name)}")
            shape, (begin, end) = tuple(map(_count, entry["shape"])), map(_count, entry["data_offsets"])
            tensor = Tensor(name=name, dtype=str(entry["dtype"]), shape=shape, size=end - begin)
            bits = _BITS.get(tensor.dtype)
            if end < begin or len(shape) > MOST_AXES or (bits and -(-tensor.count * bits // 8) != tensor.size):
                raise ValueError(f"the tensor {_short(name)} has {end - begin} bytes, which does not match its shape")
            ranges.append((begin, end))
            yield tensor
    end = 0
    for begin, following in sorted(ranges):
        if begin != end:
            raise ValueError(f"found a tensor at byte {begin}, expected the next one at {end}")
        end = following


def _count(value: object) -> int:
    """A size or an offset. Raises TypeError for an invalid one."""
    if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
        raise TypeError(f"found {_short(value)} for a size")
    return value


def _short(value: object) -> str:
    return f"{value!a:.60}"


def _quantization(folder: Path) -> str:
    """The quantization method in the configuration, empty if there is none."""
    try:
        config = _object(parse_json(read_plain(folder / "config.json", LARGEST_CONFIGURATION))).get("quantization_config")
    except (OSError, ValueError, TypeError):
        return ""
    return str(config.get("quant_method", "by an unnamed method"))[:100] if isinstance(config, dict) else ""
