"""envgen.smoke.plan: the host's plan is what the probe does, for each phase, lock and model, and nothing in an image decides on it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from samples import ROOT, sample_lock, wheel

from envgen.lock import Lock, Package
from envgen.smoke.model import Model, embedded_model
from envgen.smoke.plan import is_encoder, plan_of

PROBE = ROOT / "envgen" / "smoke" / "probe"
MODULES = {"static-files": "files", "static-imports": "packages", "cpu": "cpu", "quant": "quantized", "gpu": "gpu"}


@pytest.fixture(scope="module")
def probe() -> Iterator[dict[str, ModuleType]]:
    """The module of each phase under the short name that it has in the probe."""
    before, path = set(sys.modules), sys.path[:]
    sys.path[:0] = [str(PROBE), str(PROBE / "static"), str(PROBE / "model")]
    yield {phase: importlib.import_module(name) for phase, name in MODULES.items()}
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(PROBE)):
            del sys.modules[name]


def lock_of(*packages: str, cuda: str = "") -> Lock:
    found = tuple(Package(wheel=wheel(name), layer="models", demands=()) for name in packages)
    return sample_lock(packages=found, cuda=cuda)


def names_in(probe: dict[str, ModuleType], phase: str, lock: Lock, folder: Path) -> list[str]:
    """The checks that the probe itself plans."""
    job = {"model": str(folder), "cuda": lock.cuda or None, "bitsandbytes": lock.package("bitsandbytes") is not None}
    module = probe[phase]
    return [name for name, _ in (module.checks(job) if hasattr(module, "checks") else module.CHECKS)]


@pytest.mark.parametrize("phase", MODULES)
@pytest.mark.parametrize("lock", [lock_of("torch"), lock_of("torch", cuda="13.0"), lock_of("bitsandbytes", cuda="13.0")])
def test_the_plan_is_what_the_probe_does(probe: dict[str, ModuleType], phase: str, lock: Lock) -> None:
    model = embedded_model()
    assert [check.name for check in plan_of(phase, lock, model)] == names_in(probe, phase, lock, model.folder)


CONFIGS: dict[str, dict[str, object]] = {
    "one that writes": {"architectures": ["LlamaForCausalLM"], "vocab_size": 5},
    "an old one that writes": {"architectures": ["GPT2LMHeadModel"], "vocab_size": 5},
    "one that fills masks": {"architectures": ["BertForMaskedLM"], "vocab_size": 5},
    "one that classifies": {"architectures": ["XForSequenceClassification"], "vocab_size": 5},
    "a bare one": {"architectures": ["BertModel"], "vocab_size": 5},
    "one of no kind": {"architectures": ["XForSpeech"], "vocab_size": 5},
    "one for pictures": {"architectures": ["ViTModel"]},
    "one with two halves": {"architectures": ["T5Model"], "vocab_size": 5, "is_encoder_decoder": True},
    "one with a name for a terminal": {"architectures": ["\x1b[2JModel"], "vocab_size": 5},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_model_decides_on_the_plan_as_it_does_in_the_probe(probe: dict[str, ModuleType], name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS[name]))
    model = replace(embedded_model(), folder=tmp_path)
    assert [check.name for check in plan_of("cpu", lock_of(), model)] == names_in(probe, "cpu", lock_of(), tmp_path)


def test_where_only_transformers_can_tell_either_answer_will_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 5, "model_type": "bert"}))
    plan = plan_of("cpu", lock_of(), Model(name="x", folder=tmp_path))
    assert [(check.name, check.instead) for check in plan if check.instead] == [("generate", "encode")]


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"vocab_size": 1, "architectures": {}}', '{"architectures": [[]], "vocab_size": 1}']
)
def test_a_config_that_is_none_decides_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    assert is_encoder(tmp_path) in (False, None)


def test_what_a_lock_does_not_have_is_not_applicable() -> None:
    found = {check.name: check.not_applicable for check in plan_of("static-imports", lock_of("torch"), embedded_model())}
    assert found == {
        "torch-build": None,
        "runtime-dependencies": "the lock has no transformers",
        "one-cuda-copy": None,
        "consistent-requirements": "the lock has no packaging",
    }
