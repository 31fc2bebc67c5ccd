"""What users do with an encoder: sentence embeddings, features, and a masked word."""

from __future__ import annotations

from typing import Any

import answers
import model_under_test as subjects
from harness import Failed, Job, optional_text
from model_under_test import ModelUnderTest

SAME = 1e-4
"""The part of the largest value up to which two embeddings differ by rounding alone, where the sentences are not told apart."""


def encode(job: Job) -> str:
    """Embed two sentences: finite, different, reproducible, and unaffected by padding."""
    subject = subjects.given(job)
    model = subjects.model(subject)
    if optional_text(job, "expect") is not None and not _mask(subject):
        raise Failed("an expected text was given, but this model embeds text and can't answer")
    both = answers.embedding(subject)
    if not bool(both.isfinite().all()):
        raise Failed("the embedding has values that are not finite")
    again = answers.embed(model, subject, *answers.SENTENCES)
    if not bool((again == both).all()):
        raise Failed("a second run gives another embedding")
    alone = answers.embed(model, subject, answers.SENTENCES[0])
    error = answers.require_close(both[:1], alone, str(model.dtype), "padding")
    apart = float((both[0] - both[1]).abs().max() / both.abs().max())
    if apart <= max(error, SAME):
        raise Failed("two different sentences have the same embedding")
    return f"{both.shape[1]} dimensions, the same twice, padding changes it by {error:.1e}"


def pipeline(job: Job) -> str:
    """Run the pipeline for the model's task: it gives the same masked word or features as the model itself."""
    subject = subjects.given(job)
    return _fill_mask(job, subject) if _mask(subject) else _features(subject)


def _features(subject: ModelUnderTest) -> str:
    """Compare `pipeline("feature-extraction")` with the model's last hidden states."""
    import torch
    from transformers import pipeline as make

    model = subjects.model(subject)
    batch = subjects.tokenizer(subject)(subject.prompt, return_tensors="pt").to(model.device)
    with torch.no_grad():
        expected = model.base_model(**batch)[0].float().cpu()
    subjects.release()
    pipe = make("feature-extraction", model=str(subject.folder), dtype=subject.dtype, trust_remote_code=False)
    found = torch.tensor(pipe(subject.prompt))
    error = answers.require_close(found, expected, str(pipe.model.dtype), "feature-extraction")
    return f"feature-extraction on {pipe.device}, {found.shape[1]} tokens by {found.shape[2]}, difference {error:.1e}"


def _fill_mask(job: Job, subject: ModelUnderTest) -> str:
    """Compare the first word of `pipeline("fill-mask")` with the model's best logit, and look for the expected one."""
    from transformers import pipeline as make

    prompt, expected = _masked_prompt(subject), optional_text(job, "expect")
    best = _best_at_mask(subject, prompt)
    subjects.release()
    pipe = make("fill-mask", model=str(subject.folder), dtype=subject.dtype, trust_remote_code=False)
    found = pipe(prompt)
    words = [str(candidate["token_str"]).strip() for candidate in found]
    if found[0]["token"] != best:
        raise Failed(f"the pipeline fills in token {found[0]['token']} ({words[0]!r}), the model's best is {best}")
    if expected is not None and expected not in words:
        raise Failed(f"{expected!r} is not among {', '.join(map(repr, words))}")
    return f"fill-mask on {pipe.device}, {words[0]!r} at {found[0]['score']:.3f}, as in the model's own logits"


def _best_at_mask(subject: ModelUnderTest, prompt: str) -> int:
    """Return the token with the largest logit at the mask's position."""
    import torch

    model, tokenizer = subjects.model(subject), subjects.tokenizer(subject)
    batch = tokenizer(prompt, return_tensors="pt").to(model.device)
    with torch.no_grad():
        logits = model(**batch).logits[0]  # (tokens, vocabulary)
    place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    return int(logits[place].argmax())


def _masked_prompt(subject: ModelUnderTest) -> str:
    """Return the prompt with exactly one mask, which is appended if missing."""
    mask = _mask(subject)
    count = subject.prompt.count(mask)
    if count > 1:
        raise Failed(f"the prompt has {count} masks, expected one")
    return subject.prompt if count else f"{subject.prompt} {mask}."


def _mask(subject: ModelUnderTest) -> Any:
    """Return the mask token of a model that can fill it, else None."""
    masked = subject.auto_class == "AutoModelForMaskedLM"
    return subjects.tokenizer(subject).mask_token if masked else None
