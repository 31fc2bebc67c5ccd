"""A model's answers, in forms that can be compared between two ways of loading it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import model_under_test as subjects
from harness import Failed
from model_under_test import CAUSAL, ModelUnderTest

NEW_TOKENS = 64
SENTENCES = ("Every wheel is weighed.", "A longer sentence stands beside it, so that the shorter one has to be padded.")
TOLERANCE = {"torch.float32": 1e-4, "torch.float16": 1e-2, "torch.bfloat16": 5e-2}  # of the largest value


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Greedy tokens after a prompt, their text, and the smallest lead in logits of a chosen token over the next."""

    tokens: tuple[int, ...]
    text: str
    margin: float


def inputs(subject: ModelUnderTest) -> Any:
    """Return the prompt as a batch of one, as a user's turn where the tokenizer has a chat template."""
    tokenizer = subjects.tokenizer(subject)
    if not tokenizer.chat_template:
        return tokenizer(subject.prompt, return_tensors="pt")
    turn = [{"role": "user", "content": subject.prompt}]
    return tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)


def complete(model: Any, subject: ModelUnderTest) -> Completion:
    """Complete the prompt greedily, up to the end token or NEW_TOKENS tokens."""
    import torch

    batch = inputs(subject).to(_input_device(model))
    answer = model.generate(**batch, do_sample=False, max_new_tokens=NEW_TOKENS, return_dict_in_generate=True, output_logits=True)
    best = torch.stack(answer.logits).float().topk(2).values  # (tokens, 1, 2)
    tokens = answer.sequences[0, batch["input_ids"].shape[1] :].tolist()
    return Completion(
        tokens=tuple(tokens),
        text=subjects.tokenizer(subject).decode(tokens, skip_special_tokens=True),
        margin=float((best[..., 0] - best[..., 1]).min()),
    )


def forward(model: Any, subject: ModelUnderTest) -> Any:
    """Return the first output for the prompt, logits or hidden states, as float32 of shape (1, tokens, width)."""
    import torch

    batch = subjects.tokenizer(subject)(subject.prompt, return_tensors="pt").to(_input_device(model))
    with torch.no_grad():
        return model(**batch)[0].float().cpu()


def embed(model: Any, subject: ModelUnderTest, *sentences: str) -> Any:
    """Return the mean of the last hidden states over each sentence's own tokens, float32 of (sentences, width)."""
    import torch

    batch = subjects.tokenizer(subject)(list(sentences), padding=True, return_tensors="pt").to(_input_device(model))
    with torch.no_grad():
        hidden = model.base_model(**batch)[0].float()  # (sentences, tokens, width)
    mask = batch["attention_mask"].unsqueeze(-1).float()
    return ((hidden * mask).sum(1) / mask.sum(1)).cpu()


@functools.lru_cache(maxsize=2)
def completion(subject: ModelUnderTest) -> Completion:
    """Return the subject's answer when loaded without options."""
    return complete(subjects.model(subject), subject)


@functools.lru_cache(maxsize=2)
def embedding(subject: ModelUnderTest) -> Any:
    """Return the embedding of both sentences when the subject is loaded without options."""
    return embed(subjects.model(subject), subject, *SENTENCES)


def require_same(model: Any, subject: ModelUnderTest, how: str) -> str:
    """Raise Failed unless `model`, the subject loaded in another way, answers the same; return what was compared."""
    if subject.kind != CAUSAL:
        error = require_close(embed(model, subject, *SENTENCES), embedding(subject), str(model.dtype), how)
        return f"same embedding (difference {error:.1e})"
    expected, found = completion(subject), complete(model, subject)
    if found.tokens != expected.tokens:
        raise Failed(f"{how} answers {found.text!r}, without it the answer is {expected.text!r}")
    return f"same {len(found.tokens)} tokens"


def require_close(found: Any, expected: Any, dtype: str, how: str) -> float:
    """Return the largest difference of two tensors relative to the largest value; raise Failed if it is too large."""
    if found.shape != expected.shape:
        raise Failed(f"{how} gives shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
    error = float((found - expected).abs().max() / expected.abs().max())
    if not error <= TOLERANCE.get(dtype, 5e-2):  # `not` also catches NaN
        raise Failed(f"{how} changes the result by {error:.1e} of its largest value in {dtype}")
    return error


def _input_device(model: Any) -> Any:
    """Return the device for a batch: the CPU if the first weights are on disk, whose device torch calls meta."""
    return "cpu" if model.device.type == "meta" else model.device
