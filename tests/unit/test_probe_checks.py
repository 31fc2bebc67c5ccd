"""The probe's checks with stand-ins for torch and transformers: each of them can fail, and how much it takes.

That they fail in an image too is for tests/integration/test_probe_failures.py.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from probing import EMBEDDED, Linear, Linear4bit, Model, Vector, Weight, probe_modules, torch_with

NAMES = (
    "answers", "cuda_packages", "files", "gpu", "harness", "inference", "loading", "model_under_test", "packages", "quantized", "training",
    "untrusted_code",
)  # fmt: skip
JOB = {"model": str(EMBEDDED), "embedded": str(EMBEDDED)}
Probe = SimpleNamespace


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    with pytest.MonkeyPatch.context() as patch, probe_modules(patch, *NAMES) as modules:
        # No weights are held here, and to look through all that the tests have made takes longer than they do.
        patch.setattr(modules["model_under_test"], "gc", SimpleNamespace(collect=int))
        yield SimpleNamespace(**modules)


def put(monkeypatch: pytest.MonkeyPatch, name: str, module: ModuleType) -> None:
    """Makes `module` what an import of `name` gives."""
    monkeypatch.setitem(sys.modules, name, module)


def module(name: str, **members: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


def outcome(probe: Probe, check: Callable[[Any], str], job: dict[str, object]) -> tuple[str, str]:
    """Status and detail of a check, as the report has them."""
    found = probe.harness._outcome(check, job)
    return found["status"], found["detail"]


# packages


@pytest.mark.parametrize(
    ("locked", "found", "status"),
    [
        (("2.13.0+cpu", None), ("2.13.0+cpu", None), "passed"),
        (("2.13.0+cpu", None), ("2.13.0+cpu", "13.0"), "failed"),
        (("2.13.0", None), ("2.13.0", None), "passed"),
        (("2.13.0", None), ("2.13.0", "13.0"), "failed"),
        (("2.13.0", None), ("2.13.0+cu130", "13.0"), "failed"),
        (("2.13.0", "13.0"), ("2.13.0+cu130", "13.0"), "passed"),
        (("2.13.0+cu130", "13.0"), ("2.13.0+cu130", "13.0"), "passed"),
        (("2.13.0", "13.0"), ("2.13.0+cu130", None), "failed"),
        (("2.13.0", "13.0"), ("2.13.0", "13.2"), "failed"),
        (("2.13.0", "13.0"), ("2.13.0+cpu", None), "failed"),
        (("2.13.0", None), ("2.13.1", None), "failed"),
        ((None, None), ("2.13.0", "13.0"), "not run"),
    ],
)
def test_torch_is_the_build_of_the_lock(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, locked: tuple[str, str], found: tuple[str, str], status: str
) -> None:
    put(monkeypatch, "torch", torch_with(__version__=found[0], version=SimpleNamespace(cuda=found[1])))
    assert outcome(probe, probe.packages.torch_build, {"torch": locked[0], "cuda": locked[1]})[0] == status


NVIDIA = ("nvidia/cu13/lib/libnccl.so.2", "nvidia/cu13/lib/libcublas.so.13", "nvidia/cudnn/lib/libcudnn.so.9")


@pytest.mark.parametrize(
    ("job", "paths", "words"),
    [
        ({"torch": "2.13.0+cpu"}, (), ""),
        ({"torch": "2.13.0+cpu"}, ("demo/libcudart.so.12",), "demo/libcudart.so.12: a CUDA library beside torch 2.13.0+cpu"),
        ({"torch": "2.13.0", "cuda": "13.0"}, NVIDIA, ""),
        ({"torch": "2.13.0", "cuda": "13.0"}, NVIDIA[1:], "libnccl: missing"),
        (
            {"torch": "2.13.0", "cuda": "13.0"},
            (*NVIDIA, "demo/libnccl-1a2b3c4d.so.2"),
            "libnccl: 2 copies: demo/libnccl-1a2b3c4d.so.2, nvi",
        ),
        ({}, ("a/libcudart.so.12", "b/libcudart.so.13"), "libcudart: 2 copies"),
    ],
)
def test_each_cuda_library_is_there_once(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, job: dict[str, object], paths: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr(probe.cuda_packages, "installed", lambda: iter(paths))
    status, detail = outcome(probe, probe.packages.one_cuda_copy, job)
    assert status == ("failed" if words else "passed")
    assert words in detail


def distribution(name: str, version: str = "1.0", *requires: str) -> SimpleNamespace:
    return SimpleNamespace(metadata={"Name": name}, version=version, requires=list(requires))


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ((distribution("a", "1.0", "B_b>=1"), distribution("b-b")), ""),
        ((distribution("a", "1.0", "b>=2"), distribution("b")), "a requires b>=2 (found 1.0)"),
        ((distribution("a", "1.0", "b"),), "a requires b (found none)"),
        ((distribution("a", "1.0", "b; sys_platform == 'never'"),), ""),
        ((distribution("a", "1.0", "b; extra == 'more'"),), ""),
        (
            (distribution("a", "1.0", "c[more]"), distribution("c", "1.0", "b; extra == 'more'")),
            'c requires b; extra == "more" (found none)',
        ),
    ],
)
def test_what_is_required_is_there(probe: Probe, monkeypatch: pytest.MonkeyPatch, installed: tuple[Any, ...], words: str) -> None:
    monkeypatch.setattr(probe.packages.metadata, "distributions", lambda: installed)
    status, detail = outcome(probe, probe.packages.consistent_requirements, {})
    assert status == ("failed" if words else "passed")
    assert words in detail


def test_what_transformers_says_of_its_dependencies_is_a_failure(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: set[str] = set()

    def check(package: str) -> None:
        if package in wrong:
            raise ImportError(f"{package}>=9 is required for a normal functioning of this module, but found {package}==1.")

    names = ["tqdm", "tokenizers", "accelerate", "python"]
    checker = module("check", pkgs_to_check_at_runtime=names, dep_version_check=check)
    put(monkeypatch, "transformers", module("transformers"))
    put(monkeypatch, "transformers.dependency_versions_check", checker)
    put(monkeypatch, "transformers.dependency_versions_table", module("table", deps=dict.fromkeys(names[:3], "")))
    monkeypatch.setattr(probe.packages, "_is_installed", lambda package: package != "accelerate")
    monkeypatch.setattr(probe.packages.metadata, "version", lambda _name: "5.13.0")
    said = "2 checked by transformers 5.13.0; not installed, and so not checked: accelerate; without a bound: python"
    assert outcome(probe, probe.packages.runtime_dependencies, {}) == ("passed", said)
    wrong.add("tqdm")
    status, detail = outcome(probe, probe.packages.runtime_dependencies, {})
    assert (status, detail.startswith("ImportError: tqdm>=9 is required")) == ("failed", True)


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ((("nvidia-cuda-runtime", "13.0.96"), ("nvidia-cudnn-cu13", "9")), ""),
        ((("nvidia-cuda-runtime", "13.2.1"),), "CUDA runtime: found nvidia-cuda-runtime 13.2.1 (expected one, of CUDA 13.0)"),
        ((("nvidia-cuda-runtime", "13.0.96"), ("nvidia-cuda-runtime-cu12", "12.8.90")), "CUDA runtime: found "),
        ((), "CUDA runtime: found none"),
        ((("nvidia-cuda-runtime", "13.0.96"), ("nvidia-cudnn-cu12", "9")), "for another CUDA than 13.0: nvidia-cudnn-cu12"),
    ],
)
def test_all_of_cuda_is_of_one(probe: Probe, monkeypatch: pytest.MonkeyPatch, installed: tuple[tuple[str, str], ...], words: str) -> None:
    monkeypatch.setattr(probe.cuda_packages.metadata, "distributions", lambda: [distribution(*pair) for pair in installed])
    status, detail = outcome(probe, probe.cuda_packages.one_major, {"cuda": "13.0"})
    assert status == ("failed" if words else "passed")
    assert words in detail


@pytest.mark.parametrize(
    ("libraries", "cuda", "words"),
    [
        (("cpu", "cuda130"), "13.0", ""),
        (("cpu",), None, ""),
        (("cpu", "cuda128"), "13.0", "libbitsandbytes_cuda130.so: not in bitsandbytes"),
        (("cuda130",), "13.0", "libbitsandbytes_cpu.so: not in bitsandbytes"),
    ],
)
def test_bitsandbytes_has_the_library_of_this_cuda(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, libraries: tuple[str, ...], cuda: str | None, words: str
) -> None:
    for name in libraries:
        (tmp_path / f"libbitsandbytes_{name}.so").touch()
    monkeypatch.setattr(probe.cuda_packages.metadata, "distribution", lambda _name: SimpleNamespace(locate_file=lambda _file: tmp_path))
    status, detail = outcome(probe, probe.cuda_packages.bitsandbytes_library, {"cuda": cuda})
    assert status == ("failed" if words else "passed")
    assert words in detail


def test_a_cuda_in_the_base_is_found(probe: Probe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, "torch", torch_with(__version__="2.13.0"))
    monkeypatch.setattr(probe.cuda_packages, "LOADER_FOLDERS", (str(tmp_path),))
    local = tmp_path / "local"
    monkeypatch.setattr(probe.cuda_packages, "Path", lambda text: local if text == "/usr/local" else Path(text))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    (tmp_path / "libcuda.so.1").touch()  # the driver's own, which the host puts there
    words = "torch 2.13.0 loaded of CUDA: nothing (expected libraries of the wheels)"
    assert outcome(probe, probe.cuda_packages.no_cuda_base, {}) == ("failed", words)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/x")
    assert outcome(probe, probe.cuda_packages.no_cuda_base, {})[1].startswith("LD_LIBRARY_PATH is set to '/x'")
    (tmp_path / "libcublas.so.12").touch()
    assert outcome(probe, probe.cuda_packages.no_cuda_base, {}) == ("failed", f"CUDA is in the base: {tmp_path}/libcublas.so.12")
    (local / "cuda-13.0").mkdir(parents=True)
    assert outcome(probe, probe.cuda_packages.no_cuda_base, {})[1] == f"CUDA is in the base: {tmp_path}/libcublas.so.12, {local}/cuda-13.0"


# inference


RECORDED = json.loads((EMBEDDED / "recorded.json").read_text(encoding="utf-8"))


def said(probe: Probe, tokens: list[int], text: str = "a text", margin: float = 9.5) -> Any:
    return probe.answers.Completion(tokens=tuple(tokens), text=text, margin=margin)


@pytest.mark.parametrize(("margin", "fails"), [(9.56, False), (5.0, False), (4.0, True), (0.0, True), (math.nan, True)])
def test_an_answer_that_is_right_by_a_hair_is_none(probe: Probe, margin: float, fails: bool) -> None:
    """4.00 is what is left in the embedded model when one of its 21 layers is all zeros: it still says every token."""
    job = JOB | {"recorded": RECORDED}
    answer = said(probe, RECORDED["tokens"], margin=margin)
    verdict = outcome(probe, lambda job: probe.inference.verdict(job, probe.model_under_test.given(job), None, answer), job)
    assert verdict[0] == ("failed" if fails else "passed")
    assert ("recorded are at least 9.44" in verdict[1]) is fails


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda tokens: tokens, False),
        (lambda tokens: [*tokens[:-1], tokens[-1] + 1], True),
        (lambda tokens: [tokens[0] + 1, *tokens[1:]], True),
        (lambda tokens: tokens[::-1], True),
        (lambda tokens: tokens[:-1], True),
        (lambda tokens: [*tokens, 1], True),
        (lambda _tokens: [], True),
    ],
    ids=["same", "last", "first", "order", "one less", "one more", "none"],
)
def test_every_token_is_compared_with_the_recorded_ones(probe: Probe, change: Callable[[list[int]], list[int]], fails: bool) -> None:
    job = JOB | {"recorded": RECORDED}
    answer = said(probe, change(RECORDED["tokens"]))
    verdict = outcome(probe, lambda job: probe.inference.verdict(job, probe.model_under_test.given(job), None, answer), job)
    assert verdict[0] == ("failed" if fails else "passed")
    assert ("recorded is" in verdict[1]) is fails


@pytest.mark.parametrize(
    ("text", "expect", "again", "words"),
    [
        ("It is Paris.", "Paris", None, ""),
        ("It is Lyon.", "Paris", None, "'Paris' is not in the answer 'It is Lyon.'"),
        ("same", None, [1, 2], ""),
        ("same", None, [1, 3], "a second run does not answer 'same' again"),
        (" \n", None, [1, 2], "the answer is empty: 2 tokens without text"),
    ],
)
def test_an_answer_without_a_record(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, text: str, expect: str | None, again: list[int] | None, words: str
) -> None:
    job = JOB | {"prompt": "Another prompt", "expect": expect, "recorded": RECORDED}
    monkeypatch.setattr(probe.answers, "complete", lambda _model, _subject: said(probe, again or []))
    answer = said(probe, [1, 2], text)
    status, detail = outcome(probe, lambda job: probe.inference.verdict(job, probe.model_under_test.given(job), None, answer), job)
    assert status == ("failed" if words else "passed")
    assert words in detail


class Tokenizer:
    """Makes of each word a token, by a table that grows; with what a test has it do wrong."""

    unk_token_id = 0

    def __init__(self, unknown: str = "", decoded: Callable[[str], str] = lambda text: text, drift: int = 0) -> None:
        self._words = [""]
        self._unknown, self._decoded, self._drift, self._calls = unknown, decoded, drift, 0

    def __call__(self, text: str) -> SimpleNamespace:
        self._calls += 1
        if text == RECORDED["prompt"]:
            return SimpleNamespace(input_ids=[*RECORDED["prompt_ids"][:-1], RECORDED["prompt_ids"][-1] + self._drift])
        for word in text.split():
            if word not in self._words:
                self._words.append(word)
        ids = [0 if word == self._unknown else self._words.index(word) for word in text.split()]
        return SimpleNamespace(input_ids=ids)

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return self._decoded(" ".join(self._words[id_] for id_ in ids))

    def __len__(self) -> int:
        return len(self._words)


@pytest.mark.parametrize(
    ("tokenizer", "words"),
    [
        (Tokenizer(), ""),
        (Tokenizer(unknown="wheel"), "the tokenizer does not know a part of "),
        (Tokenizer(decoded=lambda text: text.replace("wheel", "whale")), "comes back as "),
        (Tokenizer(decoded=lambda text: text.replace("Every wheel", "everywheel")), "the tokens of 'Every wheel is weighed"),
        (Tokenizer(drift=1), "are not the recorded ones"),
    ],
    ids=["right", "unknown word", "other words", "other tokens", "not as recorded"],
)
def test_a_tokenizer_goes_there_and_back(probe: Probe, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer, words: str) -> None:
    monkeypatch.setattr(probe.model_under_test, "tokenizer", lambda _subject: tokenizer)
    status, detail = outcome(probe, probe.inference.tokenizer_round_trip, JOB | {"recorded": RECORDED})
    assert status == ("failed" if words else "passed"), detail
    assert words in detail


class Pipe:
    """A pipeline that always says the same."""

    device = "cpu"
    tokenizer = SimpleNamespace(chat_template=None)

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, _prompt: str, **_options: object) -> list[dict[str, str]]:
        return [{"generated_text": self._text}]


@pytest.mark.parametrize("same", [True, False])
def test_a_pipeline_answers_as_generate_does(probe: Probe, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    pipe = Pipe("a text" if same else "a texT")
    put(monkeypatch, "transformers", module("transformers", pipeline=lambda *_words, **_options: pipe))
    monkeypatch.setattr(probe.answers, "completion", lambda _subject: said(probe, [1]))
    assert outcome(probe, probe.inference.pipeline, JOB)[0] == ("passed" if same else "failed")


@pytest.mark.parametrize(
    ("found", "dtype", "error"),
    [
        (Vector(2.0, 1.0), "torch.float32", 0.0),
        (Vector(2.0, 1.0001), "torch.float32", 5e-5),
        (Vector(2.0, 1.001), "torch.float32", None),
        (Vector(2.0, 1.01), "torch.float16", 5e-3),
        (Vector(2.0, 1.05), "torch.float16", None),
        (Vector(2.0, 1.08), "torch.bfloat16", 0.04),
        (Vector(2.0, 1.2), "torch.bfloat16", None),
        (Vector(2.0, math.nan), "torch.bfloat16", None),
        (Vector(2.0), "torch.float32", None),
    ],
)
def test_how_near_a_result_must_be(probe: Probe, found: Vector, dtype: str, error: float | None) -> None:
    if error is None:
        with pytest.raises(probe.harness.Failed):
            probe.answers.require_close(found, Vector(2.0, 1.0), dtype, "it")
    else:
        assert probe.answers.require_close(found, Vector(2.0, 1.0), dtype, "it") == pytest.approx(error, abs=1e-9)


# training


class Trained:
    """transformers, as far as a training asks for it: what a step does to the loss is a test's."""

    def __init__(self, steps: int, device: str) -> None:
        self.args = SimpleNamespace(device=SimpleNamespace(type=device))
        self.state = SimpleNamespace(global_step=steps)

    def __call__(self, **_options: object) -> Trained:
        return self

    def train(self) -> None:
        pass


@pytest.mark.parametrize(
    ("after", "steps", "device", "words"),
    [
        (2.9, 4, "cpu", ""),
        (3.0, 4, "cpu", "4 steps changed the loss from 3.0000 to 3.0000, expected less"),
        (3.1, 4, "cpu", "4 steps changed the loss from 3.0000 to 3.1000, expected less"),
        (math.nan, 4, "cpu", "to nan, expected less"),
        (2.9, 3, "cpu", "Trainer made 3 steps, expected 4"),
        (2.9, 4, "cuda", "expected cpu"),
    ],
)
def test_a_training_lowers_the_loss(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, after: float, steps: int, device: str, words: str
) -> None:
    trainer = Trained(steps, device)
    put(monkeypatch, "transformers", module("transformers", Trainer=trainer, TrainingArguments=dict, set_seed=lambda _seed: None))
    losses = iter((3.0, after))
    monkeypatch.setattr(probe.training, "_writer", lambda _subject: (None, [{}]))
    monkeypatch.setattr(probe.training, "_loss", lambda _model, _rows: next(losses))
    status, detail = outcome(probe, probe.training.trainer_step, JOB)
    assert status == ("failed" if words else "passed"), detail
    assert words in detail


# loading, and untrusted code


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({}, ""),
        ({"missing_keys": {"model.a.weight"}}, "missing_keys: model.a.weight"),
        ({"unexpected_keys": ["lm_head.b"]}, "unexpected_keys: lm_head.b"),
        ({"mismatched_keys": [("a", 1, 2)]}, "mismatched_keys: ('a', 1, 2)"),
    ],
)
def test_every_weight_of_the_file_is_one_of_the_model(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, info: dict[str, object], words: str
) -> None:
    model = SimpleNamespace(base_model_prefix="model", num_parameters=lambda: 5, dtype="torch.bfloat16", device="cpu")
    monkeypatch.setattr(probe.model_under_test, "load", lambda _subject, **_options: (model, info))
    status, detail = outcome(probe, probe.loading.load_safetensors, JOB)
    assert status == ("failed" if words else "passed")
    assert words in detail


@pytest.mark.parametrize("executed", [True, False])
def test_a_marker_shows_that_code_ran(probe: Probe, tmp_path: Path, executed: bool) -> None:
    marker = tmp_path / "executed"
    if not executed:
        probe.untrusted_code.require_absent(marker, "the pickle")
        with pytest.raises(probe.harness.Failed, match="its refusal would prove nothing"):
            probe.untrusted_code._require_bait_worked(marker)
        return
    marker.mkdir()
    with pytest.raises(probe.harness.Failed, match=r"^the pickle was executed$"):
        probe.untrusted_code.require_absent(marker, "the pickle")
    probe.untrusted_code._require_bait_worked(marker)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("runs", "refusal", "words"),
    [
        (False, ValueError("set the option `trust_remote_code=True`"), ""),
        (True, ValueError("set the option `trust_remote_code=True`"), "remote code, though refused by AutoX in the end, was executed"),
        (True, None, "remote code was executed"),
        (False, None, "AutoX loaded a model with code of its own without an error"),
        (False, ValueError("no such file"), "refused, but for another reason: ValueError: no such file"),
    ],
)
def test_code_of_a_model_is_refused_for_what_it_is(probe: Probe, tmp_path: Path, runs: bool, refusal: Exception | None, words: str) -> None:
    marker = tmp_path / "executed"

    class AutoX:
        @staticmethod
        def from_pretrained(_folder: str, *, trust_remote_code: bool) -> None:
            assert not trust_remote_code
            if runs:
                marker.mkdir()
            if refusal:
                raise refusal

    def check(_job: object) -> str:
        probe.untrusted_code._require_refused(AutoX, tmp_path, marker)
        return "refused"

    status, detail = outcome(probe, check, {})
    assert status == ("failed" if words else "passed")
    assert words in detail


# quantized


def in_four_bits(factor: float = 1.0, count: int = 64 * 64, kind: str = "nf4", dtype: str = "uint8") -> Linear4bit:
    state = SimpleNamespace(quant_type=kind, absmax=SimpleNamespace(nbytes=count // 64 * 4))
    return Linear4bit(Weight(count, 1, dtype, state), factor)


def quantize(probe: Probe, monkeypatch: pytest.MonkeyPatch, plain: Model, model: Model) -> None:
    put(monkeypatch, "torch", torch_with())
    put(monkeypatch, "bitsandbytes", module("bitsandbytes", nn=SimpleNamespace(Linear4bit=Linear4bit, Linear8bitLt=Linear4bit)))
    monkeypatch.setattr(probe.model_under_test, "model", lambda _subject: plain)
    monkeypatch.setattr(probe.model_under_test, "tokenizer", lambda _subject: lambda *_words, **_options: {})
    monkeypatch.setattr(probe.quantized, "quantized", lambda _subject, _mode: model)


PLAIN = Model({"up": Linear(Weight(64 * 64, 2, "bfloat16")), "down": Linear(Weight(64 * 64, 2, "bfloat16"))}, 20_000)
"""16,384 bytes in two layers, and 3,616 besides."""

IN_BITS = 2 * 64 * 64 // 2 + 3_616
"""What is left of them in 4 bits, without the scales (512 bytes): transformers does not count these."""


@pytest.mark.parametrize(
    ("layers", "footprint", "words"),
    [
        ({"up": in_four_bits(), "down": in_four_bits()}, IN_BITS, ""),
        ({"up": in_four_bits(), "down": in_four_bits()}, IN_BITS + 150, ""),
        ({"up": in_four_bits(), "down": in_four_bits()}, IN_BITS + 200, "takes 8,424 bytes, expected at most "),
        ({"up": in_four_bits(), "down": in_four_bits()}, 20_000, "takes 20,512 bytes, expected at most "),
        ({"up": in_four_bits(), "down": Linear(Weight(64 * 64, 2, "bfloat16"))}, IN_BITS, "1 of 2 linear layers are Linear4bit: not down"),
        ({"up": in_four_bits(), "down": in_four_bits(), "x": in_four_bits()}, IN_BITS, "3 of 2 linear layers are Linear4bit: not x"),
        ({"up": in_four_bits(), "down": in_four_bits(kind="fp4")}, IN_BITS, "down has uint8 as fp4 (expected uint8 as nf4)"),
        ({"up": in_four_bits(dtype="int8"), "down": in_four_bits()}, IN_BITS, "up has int8 as nf4 (expected uint8 as nf4)"),
    ],
    ids=["right", "within the slack", "2.5 % more", "nothing saved", "one plain layer", "one layer more", "another form", "another type"],
)
def test_a_quantized_model_is_as_small_as_it_says(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, layers: dict[str, Linear], footprint: int, words: str
) -> None:
    quantize(probe, monkeypatch, PLAIN, Model(layers, footprint))
    status, detail = outcome(probe, lambda job: probe.quantized.load(job, probe.quantized.MODES["nf4"]), JOB)
    assert status == ("failed" if words else "passed"), detail
    assert words in detail


# What was measured passes, and what a scale that is wrong by a fifth makes of it does not.
MEASURED = {"nf4": (0.104, 0.28), "fp4": (0.149, 0.37), "int8": (0.014, 0.09)}
A_FIFTH = {"nf4": (0.199, 0.56), "fp4": (0.199, 0.74), "int8": (0.199, 0.18)}


@pytest.mark.parametrize("mode", MEASURED)
@pytest.mark.parametrize(("errors", "fails"), [(MEASURED, False), (A_FIFTH, True)], ids=["measured", "too far"])
def test_how_far_a_quantized_model_may_be(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, mode: str, errors: dict[str, tuple[float, float]], fails: bool
) -> None:
    layer, logits = errors[mode]
    broken = {"up": in_four_bits(), "down": in_four_bits(1.0 + layer)}
    quantize(probe, monkeypatch, PLAIN, Model(broken, 0, (1.0 + logits, -1.0 - logits)))
    for check, words in ((probe.quantized.layers, "2 layers, the farthest "), (probe.quantized.logits, " over 2 tokens")):
        status, detail = outcome(probe, lambda job, check=check: check(job, probe.quantized.MODES[mode]), JOB)
        assert status == ("failed" if fails else "passed"), detail
        assert words in detail


@pytest.mark.parametrize("check", ["layers", "logits"])
def test_what_is_no_number_is_not_near(probe: Probe, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    layers = {"up": in_four_bits(math.nan), "down": in_four_bits()}
    quantize(probe, monkeypatch, PLAIN, Model(layers, 0, (math.nan, 1.0)))
    assert outcome(probe, lambda job: getattr(probe.quantized, check)(job, probe.quantized.MODES["nf4"]), JOB)[0] == "failed"


@pytest.mark.parametrize(("mode", "status"), [("nf4", "failed"), ("int8", "failed"), ("fp4", "passed")])
def test_a_quantized_model_has_to_know_what_is_expected_unless_it_is_too_coarse(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, mode: str, status: str
) -> None:
    quantize(probe, monkeypatch, PLAIN, PLAIN)
    monkeypatch.setattr(probe.answers, "complete", lambda _model, _subject: said(probe, [1], "It is Lyon."))
    job = JOB | {"prompt": "The capital of France?", "expect": "Paris"}
    found = outcome(probe, lambda job: probe.quantized.generate(job, probe.quantized.MODES[mode]), job)
    assert found[0] == status
    assert ("does not promise" in found[1]) is (status == "passed")


# cuda


class OnGpu(Vector):
    """A matrix that a GPU multiplies wrongly."""

    def __init__(self, *values: float, factor: float = 1.0) -> None:
        super().__init__(*values)
        self._factor = factor

    def to(self, place: object) -> Vector:
        return self * (self._factor if place == "cuda:1" else 1.0)


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, "passed"), (1.001, "passed"), (1.05, "failed"), (math.nan, "failed"), (0.0, "failed")]
)
def test_a_product_is_compared_with_that_of_the_cpu_on_every_gpu(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, factor: float, status: str
) -> None:
    count = SimpleNamespace(device_count=lambda: 2)
    put(monkeypatch, "torch", torch_with(cuda=count, randn=lambda *_shape: OnGpu(1.0, 2.0, factor=factor)))
    found = outcome(probe, probe.gpu.matmul, {})
    assert found[0] == status
    assert ("the product on cuda:1 changes the result by" in found[1]) is (status == "failed")


@pytest.mark.parametrize(("peaks", "status"), [((5_000_000, 0), "passed"), ((0, 0), "failed")])
def test_a_gpu_that_no_check_used_is_a_failure(probe: Probe, monkeypatch: pytest.MonkeyPatch, peaks: tuple[int, int], status: str) -> None:
    cuda = SimpleNamespace(device_count=lambda: len(peaks), max_memory_allocated=lambda index: peaks[index])
    put(monkeypatch, "torch", torch_with(cuda=cuda))
    assert outcome(probe, probe.gpu.peak_memory, {})[0] == status


@pytest.mark.parametrize(
    ("places", "count", "words"),
    [
        (["cuda:0"], 1, ""),
        (["cuda:0", "cuda:1"], 2, ""),
        (["cuda:0", "cpu"], 1, "the weights are on cpu, cuda:0 (expected only GPUs)"),
        (["cuda:0"], 2, "the weights are on cuda:0 (expected only GPUs, more than one)"),
    ],
)
def test_all_weights_are_on_gpus_and_on_several_where_there_are(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, places: list[str], count: int, words: str
) -> None:
    class Device(str):
        __slots__ = ()

        @property
        def type(self) -> str:
            return self.partition(":")[0]

    model = SimpleNamespace(parameters=lambda: [SimpleNamespace(device=Device(place)) for place in places], eval=lambda: model)
    put(monkeypatch, "torch", torch_with(cuda=SimpleNamespace(device_count=lambda: count, mem_get_info=lambda _index: (10**9, 10**9))))
    monkeypatch.setattr(probe.model_under_test, "load", lambda _subject, **_options: model)
    monkeypatch.setattr(probe.gpu.subjects, "model", lambda _subject: PLAIN)
    monkeypatch.setattr(probe.gpu.subjects, "release", lambda: None)
    monkeypatch.setattr(probe.answers, "complete", lambda _model, _subject: said(probe, RECORDED["tokens"]))
    status, detail = outcome(probe, probe.gpu.device_map_auto, JOB | {"recorded": RECORDED})
    assert status == ("failed" if words else "passed"), detail
    assert words in detail


def test_a_gpu_that_torch_can_not_use_is_a_failure_and_none_is_not_run(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old\nmore")

    torch = torch_with(cuda=SimpleNamespace(init=init, device_count=lambda: 0))
    put(monkeypatch, "torch", torch)
    monkeypatch.setattr(probe.gpu, "DEVICES", (tmp_path,))
    names = dict(probe.gpu.checks({"bitsandbytes": True}))
    for check in names.values():
        status, detail = outcome(probe, check, {"cuda": "13.0", "driver": "580"})
        assert status == "failed"
        assert detail == "torch can't use the GPU: The NVIDIA driver on your system is too old (CUDA 13.0 requires driver 580)"
    torch.cuda.init = lambda: None
    assert {outcome(probe, check, {})[0] for check in names.values()} == {"not run"}


# files: what an ordinary user could change


@pytest.mark.parametrize(
    ("mode", "owner", "words"),
    [
        (0o100644, (0, 0), ""),
        (0o100664, (0, 0), ""),
        (0o120777, (0, 0), ""),
        (0o100646, (0, 0), "a: mode 646, anyone can write to it"),
        (0o040777, (0, 0), "a: mode 777, anyone can write to it"),
        (0o100664, (0, 10001), "a: mode 664, group 10001 can write to it"),
        (0o100664, (0, 20), "a: mode 664, group 20 can write to it"),
        (0o100400, (10001, 0), "a: belongs to the user 10001, who runs this"),
    ],
    ids=["closed", "another group's", "link", "open", "open folder", "its group's", "another group of it", "its own"],
)
def test_what_the_user_could_write(probe: Probe, monkeypatch: pytest.MonkeyPatch, mode: int, owner: tuple[int, int], words: str) -> None:
    for name, value in (("geteuid", 10001), ("getegid", 10001), ("getgroups", [10001, 20])):
        monkeypatch.setattr(probe.files.os, name, lambda value=value: value)
    entry = probe.files.environment.TreeEntry("a", SimpleNamespace(st_mode=mode, st_uid=owner[0], st_gid=owner[1]))
    monkeypatch.setattr(probe.files.environment, "walk", lambda _prefix: iter([entry]))
    expected = {"prefix": "/opt/venv", "site_packages": "lib", "files": {}, "directories": []}
    status, detail = outcome(probe, probe.files.not_writable, {"prefix": "/opt/venv", "expected": expected})
    assert status == ("failed" if words else "passed")
    assert words in detail


@pytest.mark.parametrize(
    ("mode", "executable", "words"),
    [
        (0o644, False, ""),
        (0o755, True, ""),
        (0o755, None, ""),
        (0o644, None, ""),
        (0o755, False, "mode 755 (expected not executable)"),
        (0o644, True, "mode 644 (expected executable)"),
        (0o654, True, "mode 654 (expected executable)"),
        (0o4755, True, "mode 4755 (expected executable)"),
        (0o2755, True, "mode 2755 (expected executable)"),
        (0o4644, False, "mode 4644 (expected not executable)"),
    ],
)
def test_the_mode_of_a_file(probe: Probe, tmp_path: Path, mode: int, executable: bool | None, words: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    file.chmod(mode)
    found = probe.files._file_problem((str(file), (hashlib.sha256(b"x").hexdigest(),), executable))
    assert found == (f"{file}: {words}" if words else None)


def test_the_content_and_the_kind_of_a_file(probe: Probe, tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"x")
    link.symlink_to(file)
    right, other = (hashlib.sha256(content).hexdigest() for content in (b"x", b"y"))
    assert probe.files._file_problem((str(file), (other, right), None)) is None
    assert probe.files._file_problem((str(file), (other,), None)) == f"{file}: sha256 {right} (expected {other})"
    assert probe.files._file_problem((str(link), (right,), None)) == f"{link}: a symbolic link (expected a file)"
    assert probe.files._file_problem((str(tmp_path / "no"), (right,), None)) == f"{tmp_path / 'no'}: missing"
