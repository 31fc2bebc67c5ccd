"""The probe's phases quant and gpu, as far as they can be called without torch: what is planned, and what is not run and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from probing import EMBEDDED, probe_modules

GIB = 1 << 30


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    with probe_modules(monkeypatch, "gpu", "quantized", "model_under_test", "harness") as modules:
        yield modules


def job_for(folder: Path, **more: object) -> dict[str, object]:
    return {"model": str(folder), "embedded": str(EMBEDDED), **more}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return tmp_path


def write_config(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps({"vocab_size": 100, **config}))


@pytest.mark.parametrize("bitsandbytes", [True, False])
def test_quantized_generation_is_planned_where_bitsandbytes_is_locked(probe: dict[str, ModuleType], bitsandbytes: bool) -> None:
    names = [name for name, _ in probe["gpu"].checks({"bitsandbytes": bitsandbytes})]
    assert [name for name in names if name.startswith("generate-cuda-")] == ["generate-cuda-nf4", "generate-cuda-int8"] * bitsandbytes
    assert (names[0], names[-1]) == ("device-visible", "peak-memory")


def test_without_a_gpu_every_check_is_not_run_and_torch_is_not_imported(
    probe: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe["gpu"], "DEVICES", ())
    for hint, reason in ((None, "no GPU visible"), ("add --gpus all", "no GPU visible: add --gpus all")):
        for _, check in probe["gpu"].checks({"bitsandbytes": True}):
            with pytest.raises(probe["harness"].NotRun) as caught:
                check({"gpu_hint": hint})
            assert str(caught.value) == reason
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ([24 * GIB, 24 * GIB], {0: 2 * GIB, 1: 4 * GIB}),
        ([24 * GIB] * 8, {0: 2 * GIB, 1: 4 * GIB}),
        ([1 * GIB, 3 * GIB], {0: 1 * GIB, 1: 3 * GIB}),
        ([1 * GIB] * 4, {0: GIB, 1: GIB, 2: GIB, 3: GIB}),
    ],
)
def test_a_model_is_spread_over_two_gpus_and_over_all_where_two_are_too_small(
    probe: dict[str, ModuleType], free: list[int], expected: dict[int, int]
) -> None:
    assert probe["gpu"].budgets(2 * GIB, free) == expected


def test_a_model_that_was_published_quantized_is_not_quantized_again(probe: dict[str, ModuleType], given: Path) -> None:
    write_config(given, architectures=["LlamaForCausalLM"], quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(probe["harness"].NotRun, match="already quantized"):
        probe["quantized"].require_plain(job_for(given))
    write_config(given, architectures=["LlamaForCausalLM"])
    probe["quantized"].require_plain(job_for(given))


@pytest.mark.parametrize(
    ("architecture", "words"), [("LlamaForCausalLM", ""), ("BertModel", "embedded model, since the given one does not generate text: ")]
)
def test_a_report_says_when_it_is_not_about_the_given_model(
    probe: dict[str, ModuleType], given: Path, architecture: str, words: str
) -> None:
    write_config(given, architectures=[architecture])
    assert probe["model_under_test"].model_note(job_for(given)) == words
