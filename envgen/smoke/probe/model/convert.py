"""The phase `convert`: converts a GGUF file to a folder with safetensors, once, in the image that will run it."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Failed, Job, text


def convert(job: Job) -> str:
    """Load `gguf` in bfloat16 and write model and tokenizer to `output`, readable for every user.

    `extra_path` is a folder with an unpacked `gguf` package, which the image does not have. It comes last on the path, so
    that it can't replace anything in the image.
    """
    source, output = Path(text(job, "gguf")), Path(text(job, "output"))
    if not source.is_file():
        raise Failed(f"{source}: no such file")
    sys.path.append(text(job, "extra_path"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"gguf_file": source.name, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), **options)
    model = AutoModelForCausalLM.from_pretrained(str(source.parent), dtype="bfloat16", **options)
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(output))
    tokenizer.save_pretrained(str(output))
    files = sorted(file for file in output.iterdir() if file.is_file())
    for file in files:
        file.chmod(0o644)  # transformers writes weights with mode 0600, and another user will read them
    size = sum(file.stat().st_size for file in files)
    return f"{type(model).__name__}, {model.num_parameters():,} parameters, {len(files)} files, {size:,} bytes"


CHECKS = (("convert-gguf", convert),)
