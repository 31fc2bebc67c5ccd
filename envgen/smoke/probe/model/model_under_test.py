"""The model that checks run on: its folder, its kind, and how to load it.

The kind is read from config.json, so that the list of checks is known before anything heavy is imported.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Failed, Job, NotRun, first_few, optional_text, text

SMALL = 20_000_000  # parameters; a larger model is not copied, rewritten and trained within a smoke test
LONGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors format
DEFAULT_PROMPT = "The ship left the harbour in the morning and"
CAUSAL, ENCODER, OTHER = "causal", "encoder", "other"
AUTO_CLASSES = (
    ("ForCausalLM", CAUSAL, "AutoModelForCausalLM"),
    ("LMHeadModel", CAUSAL, "AutoModelForCausalLM"),
    ("ForMaskedLM", ENCODER, "AutoModelForMaskedLM"),
    ("ForSequenceClassification", ENCODER, "AutoModelForSequenceClassification"),
    ("ForTokenClassification", ENCODER, "AutoModelForTokenClassification"),
    ("Model", ENCODER, "AutoModel"),
)
COPIED = (".json", ".txt", ".model", ".jinja")


@dataclass(frozen=True, kw_only=True)
class ModelUnderTest:
    """A model folder; `name` is its name in reports, `parameters` is None without safetensors."""

    name: str
    folder: Path
    kind: str
    auto_class: str
    dtype: str
    parameters: int | None
    prompt: str


def given(job: Job) -> ModelUnderTest:
    """Return the model that the job names; raise NotRun for a kind without checks, Failed for a broken folder."""
    subject = _subject(job, "model")
    if subject.kind == OTHER:
        raise NotRun(f"no check for this kind of model: {architecture(subject.folder) or 'no architecture in config'}")
    return subject


def small(job: Job) -> ModelUnderTest:
    """Return the given model if it is small enough to be rewritten and trained, else the embedded one."""
    subject = _subject(job, "model")
    fits = subject.kind != OTHER and subject.parameters is not None and subject.parameters <= SMALL
    return subject if fits else _subject(job, "embedded")


def causal(job: Job) -> ModelUnderTest:
    """Return the given model if it generates text, else the embedded one."""
    subject = _subject(job, "model")
    return subject if subject.kind == CAUSAL else _subject(job, "embedded")


def model_note(job: Job) -> str:
    """Return a prefix for reports on `causal` that names the model if it is not the given one, else nothing."""
    return "" if kind(job) == CAUSAL else "embedded model, since the given one does not generate text: "


def recorded(subject: ModelUnderTest) -> Any:
    """Return the recorded answer of the embedded model, from its folder."""
    return json.loads((subject.folder / "recorded.json").read_text(encoding="utf-8"))


def kind(job: Job) -> str:
    """Return the kind of the given model, without reading its weights; raise Failed for a broken folder."""
    folder = Path(text(job, "model"))
    _require_readable(folder)
    return _classify(folder)[0]


def architecture(folder: Path) -> str:
    """Return the class named in config.json, or nothing; raise Failed if there is no readable config.json."""
    names = configuration(folder).get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def configuration(folder: Path) -> dict[str, Any]:
    """Return config.json; raise Failed if it is absent, unreadable or not a JSON object."""
    try:
        value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise Failed(f"{folder}/config.json: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Failed(f"{folder}/config.json: invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise Failed(f"{folder}/config.json: unexpected type {type(value).__name__} (expected object)")
    return value


def load(subject: ModelUnderTest, folder: Path | None = None, **options: object) -> Any:
    """Load the subject from its folder, or from another `folder`, with `options` for from_pretrained."""
    import transformers

    options = {"dtype": subject.dtype, "trust_remote_code": False, **options}
    return getattr(transformers, subject.auto_class).from_pretrained(str(folder or subject.folder), **options)


@functools.lru_cache(maxsize=1)
def model(subject: ModelUnderTest) -> Any:
    """Return the subject, loaded once, in evaluation mode; `release` frees its memory."""
    return load(subject).eval()


@functools.lru_cache(maxsize=2)
def tokenizer(subject: ModelUnderTest) -> Any:
    """Return the subject's tokenizer, padding on the right, which does not change token positions."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(subject.folder), trust_remote_code=False, padding_side="right")


def release() -> None:
    """Free the loaded model, before another copy or another model is loaded."""
    model.cache_clear()
    gc.collect()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Create an empty temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="envgen-probe-") as folder:
        yield Path(folder)


def copy_without_weights(source: Path, target: Path) -> None:
    """Copy configuration and tokenizer, readable and writable regardless of their modes."""
    for file in source.iterdir():
        if file.suffix in COPIED and not file.name.endswith(".index.json"):
            shutil.copyfile(file, target / file.name)


def copy_safetensors(source: Path, target: Path) -> None:
    """Copy the weights, and their index if they are in several files."""
    for file in source.iterdir():
        if file.name.endswith((".safetensors", ".safetensors.index.json")):
            shutil.copyfile(file, target / file.name)


def _subject(job: Job, key: str) -> ModelUnderTest:
    """Read the folder at `key`; the embedded model has the same name in both places."""
    folder = Path(text(job, key))
    embedded = folder == Path(text(job, "embedded"))
    _require_readable(folder)
    family, auto_class = _classify(folder)
    return ModelUnderTest(
        name="embedded model" if embedded else "given model",
        folder=folder,
        kind=family,
        auto_class=auto_class,
        dtype=optional_text(job, "dtype") or "auto",
        parameters=_parameters(folder),
        prompt=_prompt(job, key, folder),
    )


def _prompt(job: Job, key: str, folder: Path) -> str:
    """Return the job's prompt for the given model, else the model's recorded one, else a default."""
    if key == "embedded":
        return text(json.loads((folder / "recorded.json").read_text(encoding="utf-8")), "prompt")
    known = job.get("recorded")
    return optional_text(job, "prompt") or (text(known, "prompt") if isinstance(known, dict) else DEFAULT_PROMPT)


def _require_readable(folder: Path) -> None:
    """Raise Failed for a file that this user can't read: the libraries would only report a missing file."""
    try:
        closed = [file for file in folder.iterdir() if file.is_file() and not os.access(file, os.R_OK)]
    except OSError as error:
        raise Failed(f"{folder}: the model folder can't be read by uid {os.getuid()}: {error.strerror}") from error
    if closed:
        mode = closed[0].stat().st_mode & 0o777
        names = first_few(sorted(file.name for file in closed))
        raise Failed(f"{folder}: uid {os.getuid()} can't read {names} (mode {mode:04o}, expected 0644)")


def _classify(folder: Path) -> tuple[str, str]:
    """Return the kind of a model and the name of the auto class that loads it."""
    config = configuration(folder)
    if "vocab_size" not in config or config.get("is_encoder_decoder"):
        return OTHER, "AutoModel"
    name = architecture(folder)
    for suffix, family, auto_class in AUTO_CLASSES:
        if name.endswith(suffix):
            return family, auto_class
    return (OTHER, "AutoModel") if name else _by_type(str(config.get("model_type")))


def _by_type(model_type: str) -> tuple[str, str]:
    """Classify a configuration without a class; a model that can fill a mask is an encoder, even if it also generates text."""
    from transformers.models.auto import modeling_auto

    if model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return ENCODER, "AutoModel"
    if model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return CAUSAL, "AutoModelForCausalLM"
    return OTHER, "AutoModel"


def _parameters(folder: Path) -> int | None:
    """Count the parameters in the safetensors files from their headers; None without such files."""
    files = sorted(folder.glob("*.safetensors"))
    return sum(map(_numbers, files)) if files else None


def _numbers(file: Path) -> int:
    """Count the parameters in a safetensors file, whose header is JSON after an 8-byte little-endian length."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LONGEST_HEADER:
            raise Failed(f"{file}: found a header of {length} bytes (expected at most {LONGEST_HEADER})")
        header = json.loads(stream.read(length))
    total = 0
    for name, tensor in header.items():
        count = 1
        for size in tensor["shape"] if name != "__metadata__" else (0,):
            count = min(count * size, 1 << 62)
        total += count
    return total
