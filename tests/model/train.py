"""Trains the embedded model, records what it says, and writes both into envgen/smoke/models/embedded.

Run by hand, never by a test: `python tests/model/train.py [FOLDER]`. The committed files were made by it with Python
3.11, torch 2.13.0+cpu, transformers 5.15.1, tokenizers 0.22.2, safetensors 0.8.0, accelerate 1.15.0 and bitsandbytes
0.50.2.

Two runs on one machine give the same bytes; another processor or another torch may round differently, which is why the
weights are committed and this script is only their origin.

The model is a Llama of three layers that knows one text by heart. No word stands in the text twice, so that every next
token follows from its context alone and wins by a wide margin: the recorded tokens then hold in 4 bits too.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "envgen/smoke/models/embedded"
PROMPT = "Every image begins"
TEXT = (
    "Every image begins as a list of wheels. Each one is fetched, weighed against its fingerprint, then stowed in order"
    ", while nothing else may come aboard. When the anchor lifts, this small model wakes up, remembers these lines by"
    " heart, and tells you that your journey starts from known ground."
)
BEGIN, END = "<s>", "</s>"
SEED = 20260922
STEPS = 300
LEARNING_RATE = 2e-3
TEMPERATURE = 2.0  # the loss sees the logits divided by it, which widens the margins by about as much
VOCABULARY = 512  # at most; the text has fewer pairs to merge
CONTEXT = 128
MARGIN = 4.0  # logits between the recorded token and the next best one, in every dtype
BYTES = 2_000_000
QUANTIZED: dict[str, dict[str, object]] = {
    "bfloat16": {},
    "int8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
}
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "bitsandbytes")


def main() -> None:
    """Train, save, record and check; an AssertionError leaves the folder with files that must not be committed."""
    import torch

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns at every product of matrices
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    words = TEXT.lower().replace(",", "").replace(".", "").split()
    assert len(words) == len(set(words)), "a word stands in the text twice"
    torch.set_num_threads(1)  # the order of summation depends on the number of threads
    torch.use_deterministic_algorithms(True)
    save_tokenizer(folder)
    save_model(train(folder), folder)
    record(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # the image's user is not the one that runs this
        print(f"{file.stat().st_size:>9} {file.name}")
    assert (folder / "model.safetensors").stat().st_size <= BYTES


def save_tokenizer(folder: Path) -> None:
    """Write a byte-level BPE tokenizer whose merges come from the text; any other text falls back to bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    begin = (BEGIN, tokenizer.token_to_id(BEGIN))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN} $B", special_tokens=[begin])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BEGIN,
            "eos_token": END,
            "pad_token": END,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": CONTEXT,
        },
    )


def train(folder: Path) -> Any:
    """Return a model in float32 that completes the text; full batches of one sequence, no dropout, cosine decay."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import AutoTokenizer, LlamaForCausalLM

    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXT + END, return_tensors="pt").input_ids  # (1, tokens)
    model = LlamaForCausalLM(configuration(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = model(input_ids=ids).logits[0, :-1]  # (tokens - 1, vocabulary)
        loss = cross_entropy(logits / TEMPERATURE, ids[0, 1:])
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == STEPS - 1:
            print(f"step {step:3} loss {loss.item():.6f}")
    return model.eval()


def configuration(tokenizer: Any) -> Any:
    """Return the shape of the model: three layers of width 128."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )


def save_model(model: Any, folder: Path) -> None:
    """Write the weights in bfloat16 and both configurations, with greedy generation as the default."""
    import torch
    from transformers import GenerationConfig

    model = model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=CONTEXT // 2,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(folder)


def record(folder: Path) -> None:
    """Write recorded.json: the greedy tokens, in which all dtypes agree, and the smallest margin in each."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt_ids = tokenizer(PROMPT).input_ids
    expected = tokenizer(TEXT + END).input_ids
    assert expected[: len(prompt_ids)] == prompt_ids, "the prompt does not end where a token does"
    margins = {}
    for dtype, quantization in QUANTIZED.items():
        tokens, margin = complete(folder, prompt_ids, quantization)
        assert tokens == expected[len(prompt_ids) :], f"{dtype}: {tokenizer.decode(tokens)!r}"
        assert margin >= MARGIN, f"{dtype}: a margin of {margin:.2f} logits, less than {MARGIN}"
        margins[dtype] = round(margin, 2)
    print(f"{len(tokens)} tokens after {len(prompt_ids)}, margins {margins}")
    write_json(
        folder / "recorded.json",
        {
            "prompt": PROMPT,
            "prompt_ids": prompt_ids,
            "tokens": tokens,
            "text": tokenizer.decode(tokens, skip_special_tokens=True),
            "margins": margins,
            "recorded_with": {name: version(name) for name in PACKAGES},
        },
    )


def complete(folder: Path, prompt_ids: list[int], quantization: dict[str, object]) -> tuple[list[int], float]:
    """Return the greedy tokens after the prompt and the smallest lead, in logits, of a chosen token over the next."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(**quantization) if quantization else None
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config)
    answer = model.generate(torch.tensor([prompt_ids]), do_sample=False, return_dict_in_generate=True, output_logits=True)
    best = torch.stack(answer.logits).float().topk(2).values  # (tokens, 1, 2)
    return answer.sequences[0, len(prompt_ids) :].tolist(), float((best[..., 0] - best[..., 1]).min())


def write_json(file: Path, value: dict[str, object]) -> None:
    """Write a JSON file that reads well in a diff: short lists of numbers on one line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
