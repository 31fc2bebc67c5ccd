"""The plan of checks: what each phase of the probe must report, known here from lock and model. An image has no say in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from envgen.core.plain_files import read_plain
from envgen.lock import Lock
from envgen.oci.documents import parse_json
from envgen.smoke.model import Model

CAUSAL_CLASSES = ("ForCausalLM", "LMHeadModel")
ENCODER_CLASSES = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "Model")
"""How the classes of models end that write text, and of those that encode it; in the order in which they are compared."""

_LARGEST_CONFIG = 10_000_000

_STATIC_FILES = ("python-version", "distributions", "files", "byte-code", "foreign-files", "mtimes", "not-writable")
_MODES = ("nf4", "fp4", "int8")
_STEPS = ("load", "generate", "layers", "logits")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCheck:
    """A check that a phase must report, by its name, or by another one that stands for it (`instead`).

    `not_applicable` is why a lock leaves it nothing to look at: it is then no fault that it is not run.
    """

    name: str
    instead: str | None = None
    not_applicable: str | None = None


Plan = tuple[PlannedCheck, ...]


def checks_named(*names: str) -> Plan:
    """A plan of checks that apply, by name."""
    return tuple(PlannedCheck(name=name) for name in names)


def plan_of(phase: str, lock: Lock, model: Model) -> Plan:
    """The checks of `phase` in an image of `lock`, with `model`."""
    if phase == "static-files":
        return checks_named(*_STATIC_FILES)
    if phase == "static-imports":
        return _static_imports(lock)
    if phase == "cpu":
        return _cpu(model)
    if phase == "quant":
        return checks_named(*(f"{step}-{mode}" for mode in _MODES for step in _STEPS))
    assert phase == "gpu", phase
    quantized = ("generate-cuda-nf4", "generate-cuda-int8") if lock.package("bitsandbytes") else ()
    steps = ("device-visible", "matmul", "generate-cuda", *quantized, "device-map-auto-cuda", "trainer-step-cuda", "peak-memory")
    return checks_named(*steps)


def _static_imports(lock: Lock) -> Plan:
    cuda = ("cuda-majors", "no-cuda-base") if lock.cuda else ()
    bitsandbytes = ("bitsandbytes-library",) if lock.package("bitsandbytes") else ()
    return (
        _needing("torch-build", "torch", lock),
        _needing("runtime-dependencies", "transformers", lock),
        *checks_named("one-cuda-copy", *cuda, *bitsandbytes),
        _needing("consistent-requirements", "packaging", lock),
    )


def _needing(name: str, package: str, lock: Lock) -> PlannedCheck:
    return PlannedCheck(name=name, not_applicable=None if lock.package(package) else f"the lock has no {package}")


def _cpu(model: Model) -> Plan:
    encoder = is_encoder(model.folder)
    answer = PlannedCheck(name="encode" if encoder else "generate", instead="encode" if encoder is None else None)
    before, after = ("tokenizer-round-trip", "load-safetensors"), (
        "pipeline", "device-map-auto", "load-bin", "refuse-pickle", "prefer-safetensors", "disk-offload", "trainer-step",
        "refuse-remote-code",
    )  # fmt: skip
    return (*checks_named(*before), answer, *checks_named(*after))


def is_encoder(folder: Path) -> bool | None:
    """Whether the model in `folder` encodes text; None where its config names no class, so that only transformers could tell.

    A model of no kind that has checks, or that can't be read, is none: its checks then say so.
    """
    try:
        config = parse_json(read_plain(folder / "config.json", _LARGEST_CONFIG))
    except (OSError, ValueError):
        return False
    if not isinstance(config, Mapping) or "vocab_size" not in config or config.get("is_encoder_decoder"):
        return False
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    if not name:
        return None
    return not name.endswith(CAUSAL_CLASSES) and name.endswith(ENCODER_CLASSES)
