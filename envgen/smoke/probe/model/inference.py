"""What users do with a causal model, and how `accelerate` places a model of either kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import answers
import model_under_test as subjects
from harness import Failed, Job, optional_text, text
from model_under_test import CAUSAL, ModelUnderTest

SAMPLE = "Every wheel is weighed, counted (1, 2, 3) and sealed."


CERTAINTY = 0.5
"""The part of the smallest recorded margin that is left where all is well: all dtypes are within a fiftieth of each other, and a model
that is trained to say its text says it without one of its layers too, but with less than half of that."""


def tokenizer_round_trip(job: Job) -> str:
    """Encode a sentence, decode it, and encode it again: the same tokens, and the same words up to case and spaces."""
    subject = subjects.given(job)
    tokenizer = subjects.tokenizer(subject)
    ids = tokenizer(SAMPLE).input_ids
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        raise Failed(f"the tokenizer does not know a part of {SAMPLE!r}")
    back = tokenizer.decode(ids, skip_special_tokens=True)
    if _letters(back) != _letters(SAMPLE):
        raise Failed(f"{SAMPLE!r} comes back as {back!r}")
    if tokenizer(back).input_ids != ids:
        raise Failed(f"the tokens of {SAMPLE!r} are not those of {back!r}")
    known = recorded(job, subject)
    if known and tokenizer(str(known["prompt"])).input_ids != known["prompt_ids"]:
        raise Failed(f"the tokens of {known['prompt']!r} are not the recorded ones")
    return f"{type(tokenizer).__name__}, {len(tokenizer):,} tokens, {len(ids)} for {len(SAMPLE)} characters"


def generate(job: Job) -> str:
    """Generate greedily: the recorded tokens, an answer with the expected text, or the same text twice."""
    subject = subjects.given(job)
    return verdict(job, subject, subjects.model(subject), answers.completion(subject))


def verdict(job: Job, subject: ModelUnderTest, model: Any, found: answers.Completion) -> str:
    """Judge an answer of `model`, the subject loaded in some way; raise Failed if it is wrong."""
    known, expected = recorded(job, subject), optional_text(job, "expect")
    margin = f"smallest margin {found.margin:.2f} logits"
    if known:
        if list(found.tokens) != known["tokens"]:
            raise Failed(f"the answer is {found.text!r}, recorded is {known['text']!r} ({margin})")
        least = min(known["margins"].values())
        if not found.margin >= least * CERTAINTY:
            raise Failed(f"{len(found.tokens)} tokens as recorded, but with a {margin}, recorded are at least {least:.2f}")
        return f"{len(found.tokens)} tokens as recorded, {margin}"
    if expected is not None:
        if expected not in found.text:
            raise Failed(f"{expected!r} is not in the answer {found.text!r}")
        return f"{expected!r} is in the answer {found.text.strip()!r}, {margin}"
    if not found.text.strip():
        raise Failed(f"the answer is empty: {len(found.tokens)} tokens without text")
    if answers.complete(model, subject).tokens != found.tokens:
        raise Failed(f"a second run does not answer {found.text!r} again")
    return f"{len(found.tokens)} tokens, the same twice, {margin}; no expected text was given"


def pipeline(job: Job) -> str:
    """Answer through `pipeline("text-generation")`: the same text as generate gives."""
    from transformers import pipeline as make

    subject = subjects.given(job)
    expected = answers.completion(subject).text
    subjects.release()
    pipe = make("text-generation", model=str(subject.folder), dtype=subject.dtype, trust_remote_code=False)
    chat = bool(pipe.tokenizer.chat_template)
    prompt = [{"role": "user", "content": subject.prompt}] if chat else subject.prompt
    answer = pipe(prompt, do_sample=False, max_new_tokens=answers.NEW_TOKENS, return_full_text=False)
    found = answer[0]["generated_text"]
    if found != expected:
        raise Failed(f"the pipeline answers {found!r}, generate {expected!r}")
    return f"text-generation on {pipe.device}, the same {len(found)} characters" + (", as a chat" if chat else "")


def device_map_auto(job: Job) -> str:
    """Load with device_map="auto": the same answer. On a CPU there is no map; the detail then names the device."""
    subject = subjects.given(job)
    _plain_answer(subject)
    subjects.release()
    model = subjects.load(subject, device_map="auto").eval()
    same = answers.require_same(model, subject, 'device_map="auto"')
    places = sorted({str(place) for place in (getattr(model, "hf_device_map", None) or {"": model.device}).values()})
    return f"{same}, on {', '.join(places)}"


def disk_offload(job: Job) -> str:
    """Allow half of the weights' memory: the rest is on disk, and the answer is the same."""
    subject = subjects.small(job)
    _plain_answer(subject)
    half = subjects.model(subject).get_memory_footprint() // 2
    subjects.release()
    with subjects.scratch() as folder:
        model = subjects.load(subject, device_map="auto", max_memory={"cpu": half}, offload_folder=str(folder)).eval()
        places = [str(place) for place in (getattr(model, "hf_device_map", None) or {}).values()]
        if "disk" not in places:
            raise Failed(f"with {half:,} bytes allowed nothing is on disk: {places or 'no device map'}")
        same = answers.require_same(model, subject, "disk offload")
    return f"{subject.name}: {same}, {places.count('disk')} of {len(places)} parts on disk"


def _plain_answer(subject: ModelUnderTest) -> None:
    """Compute the reference answer now, so that two models are never in memory at once."""
    if subject.kind == CAUSAL:
        answers.completion(subject)
    else:
        answers.embedding(subject)


def recorded(job: Job, subject: ModelUnderTest) -> dict[str, Any] | None:
    """Return the subject's recorded answer (the embedded model's is in its folder), unless the job has another prompt."""
    known = job.get("recorded") if subject.folder == Path(text(job, "model")) else subjects.recorded(subject)
    return known if isinstance(known, dict) and known.get("prompt") == subject.prompt else None


def _letters(words: str) -> str:
    """Return a text without spaces and case, which tokenizers may change."""
    return "".join(words.split()).casefold()
