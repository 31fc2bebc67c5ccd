"""A few steps of `Trainer` lower the loss."""

from __future__ import annotations

from typing import Any

import model_under_test as subjects
from harness import Failed, Job
from model_under_test import CAUSAL, ModelUnderTest

STEPS = 4
LEARNING_RATE = 1e-3
TEXTS = ("The harbour was quiet and the crane stood still.", "Nobody had ordered the seventh crate, yet there it was.")
HEAD = "AutoModelForSequenceClassification"


def trainer_step(job: Job) -> str:
    """Train on a CPU."""
    return train(subjects.small(job), use_cpu=True)


def train(subject: ModelUnderTest, *, use_cpu: bool) -> str:
    """Train on two sentences in float32: a language model, or an encoder with a new head that distinguishes them."""
    from transformers import Trainer, TrainingArguments, set_seed

    subjects.release()
    set_seed(0)
    model, rows = (_writer if subject.kind == CAUSAL else _classifier)(subject)
    before = _loss(model, rows)
    with subjects.scratch() as folder:
        arguments = TrainingArguments(
            output_dir=str(folder),
            max_steps=STEPS,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=len(rows),
            use_cpu=use_cpu,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
    expected = "cpu" if use_cpu else "cuda"
    if trainer.args.device.type != expected:
        raise Failed(f"Trainer ran on {trainer.args.device}, expected {expected}")
    after = _loss(model, rows)
    if trainer.state.global_step != STEPS:
        raise Failed(f"Trainer made {trainer.state.global_step} steps, expected {STEPS}")
    if not after < before:
        raise Failed(f"{STEPS} steps changed the loss from {before:.4f} to {after:.4f}, expected less")
    return f"{subject.name}: {STEPS} steps on {trainer.args.device}, loss from {before:.4f} to {after:.4f}"


def _writer(subject: ModelUnderTest) -> tuple[Any, list[dict[str, Any]]]:
    """Return a causal model and two rows of equal length whose labels are their own tokens."""
    tokenizer = subjects.tokenizer(subject)
    rows = [tokenizer(words).input_ids for words in TEXTS]
    length = min(map(len, rows))
    model = subjects.load(subject, dtype="float32")
    return model, [{"input_ids": ids[:length], "attention_mask": [1] * length, "labels": ids[:length]} for ids in rows]


def _classifier(subject: ModelUnderTest) -> tuple[Any, list[dict[str, Any]]]:
    """Return an encoder with a new head for two classes, and one padded row of each class."""
    import transformers

    batch = subjects.tokenizer(subject)(list(TEXTS), padding=True)
    model = getattr(transformers, HEAD).from_pretrained(
        str(subject.folder), num_labels=2, dtype="float32", ignore_mismatched_sizes=True, trust_remote_code=False
    )
    return model, [{**{name: values[row] for name, values in batch.items()}, "labels": row} for row in range(len(TEXTS))]


def _loss(model: Any, rows: list[dict[str, Any]]) -> float:
    """Return the loss over all rows, without dropout."""
    import torch

    batch = {name: torch.tensor([row[name] for row in rows], device=model.device) for name in rows[0]}
    with torch.no_grad():
        return float(model.eval()(**batch).loss)
