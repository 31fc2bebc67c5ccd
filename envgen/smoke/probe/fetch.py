"""The phase `fetch-hub`: one revision of a model is downloaded from the hub. It is the only phase with a network."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness import Failed, Job, some, text

DESCRIPTION = ("*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken")
WEIGHTS = ("*.safetensors", "*.bin")  # the first that the repository has


def fetch(job: Job) -> str:
    """Download configuration, tokenizer and weights of `repo` at `revision` into `output`; name the commit it is.

    The revision is resolved once and the commit downloaded, so that a branch that moves meanwhile can't mix two.
    """
    from huggingface_hub import HfApi, snapshot_download

    repo, output = text(job, "repo"), Path(text(job, "output"))
    info = HfApi().model_info(repo, revision=text(job, "revision"))
    names = [str(file.rfilename) for file in info.siblings or ()]
    weights = next((pattern for pattern in WEIGHTS if _top_level(names, pattern)), None)
    if weights is None:
        raise Failed(f"{repo} at {info.sha} has neither safetensors nor .bin weights: {some(names) or 'no file'}")
    wanted = [name for pattern in (*DESCRIPTION, weights) for name in _top_level(names, pattern)]
    snapshot_download(repo, revision=info.sha, local_dir=str(output), allow_patterns=wanted)
    absent = [name for name in wanted if not (output / name).is_file()]
    if absent:
        raise Failed(f"{repo} at {info.sha}: not downloaded: {some(absent)}")
    shutil.rmtree(output / ".cache", ignore_errors=True)  # what the client keeps for itself beside a local_dir
    for name in wanted:
        (output / name).chmod(0o644)
    size = sum((output / name).stat().st_size for name in wanted)
    return f"commit {info.sha}, {len(wanted)} files, {size:,} bytes"


def _top_level(names: list[str], pattern: str) -> list[str]:
    """Return the names of files, outside any folder, that match a pattern like *.json."""
    return [name for name in names if "/" not in name and name.endswith(pattern.removeprefix("*"))]


CHECKS = (("fetch-hub", fetch),)
