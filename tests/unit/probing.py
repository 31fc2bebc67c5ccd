"""The probe's modules in a unit test, with stand-ins for the libraries that only an image has."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from samples import ROOT

PROBE = ROOT / "envgen" / "smoke" / "probe"
EMBEDDED = ROOT / "envgen" / "smoke" / "models" / "embedded"


@contextmanager
def probe_modules(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[dict[str, Any]]:
    """The probe's modules under the short names that they know each other by, which are gone again afterwards."""
    before = set(sys.modules)
    for folder in (PROBE, PROBE / "static", PROBE / "model"):
        monkeypatch.syspath_prepend(folder)
    yield {name: importlib.import_module(name) for name in names}
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(PROBE)):
            del sys.modules[name]


class Vector:
    """As much of a tensor as the probe asks of one: a row of numbers."""

    def __init__(self, *values: float) -> None:
        self.values = values
        self.shape = (len(values),)

    def _with(self, other: Any, do: Callable[[float, float], float]) -> Vector:
        others = other.values if isinstance(other, Vector) else [other] * len(self.values)
        return Vector(*map(do, self.values, others))

    def __sub__(self, other: Any) -> Vector:
        return self._with(other, lambda one, two: one - two)

    def __mul__(self, other: Any) -> Vector:
        return self._with(other, lambda one, two: one * two)

    __matmul__ = __mul__

    def __eq__(self, other: object) -> Any:
        return self._with(other, lambda one, two: float(one == two))

    __hash__ = None  # type: ignore[assignment]  # as a tensor has none that goes by value

    def __getitem__(self, _index: int) -> Vector:
        return self

    def __len__(self) -> int:
        return len(self.values)

    def abs(self) -> Vector:
        return Vector(*map(abs, self.values))

    def max(self) -> float:
        return math.nan if any(map(math.isnan, self.values)) else max(self.values)

    def norm(self) -> float:
        return math.sqrt(sum(value * value for value in self.values))

    def mean(self, *_dimension: int, **_keepdim: bool) -> float:
        return sum(self.values) / len(self.values)

    def argmax(self, _dimension: int) -> Vector:
        return Vector(float(self.values.index(max(self.values))))

    def float(self) -> Vector:
        return self

    def cpu(self) -> Vector:
        return self

    def to(self, _place: object) -> Vector:
        return self


def torch_with(**more: object) -> ModuleType:
    """A module that is called torch."""
    torch = ModuleType("torch")
    for name, value in {
        "manual_seed": lambda _seed: None,
        "no_grad": nullcontext,
        "randn": lambda *_shape: Vector(1.0, -1.0),
        "uint8": "uint8",
        "int8": "int8",
        "nn": SimpleNamespace(Linear=Linear),
        **more,
    }.items():
        setattr(torch, name, value)
    return torch


class Weight:
    """The weights of a layer: how many, of what size each; quantized where there is a state."""

    def __init__(self, count: int, size: int, dtype: str, state: Any = None) -> None:
        self._count, self._size, self.dtype = count, size, dtype
        if state is not None:
            self.quant_state = state

    def numel(self) -> int:
        return self._count

    def element_size(self) -> int:
        return self._size


class Linear:
    """A layer that multiplies its input by one number."""

    def __init__(self, weight: Weight, factor: float = 1.0) -> None:
        self.weight, self._factor = weight, factor
        self.in_features = self.out_features = 64

    def __call__(self, values: Vector) -> Vector:
        return values * self._factor


class Linear4bit(Linear):
    pass


class Model:
    """A model of layers by name; what it makes of a sentence is a row of logits."""

    dtype = "torch.bfloat16"

    def __init__(self, layers: dict[str, Linear], footprint: int, logits: Sequence[float] = (1.0, -1.0)) -> None:
        self._layers, self._footprint, self._logits = layers, footprint, logits

    def named_modules(self) -> list[tuple[str, Linear]]:
        return list(self._layers.items())

    def get_submodule(self, name: str) -> Linear:
        return self._layers[name]

    def get_output_embeddings(self) -> None:
        return None

    def get_memory_footprint(self) -> int:
        return self._footprint

    def __call__(self, **_batch: object) -> SimpleNamespace:
        return SimpleNamespace(logits=Vector(*self._logits))
