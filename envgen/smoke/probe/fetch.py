"""The phase `fetch-hub`: one revision of a model is downloaded from the hub. It is the only phase with a network."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness import Failed, Job, some, text

DESCRIPTION = ("*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken")
WEIGHTS = ("*.safetensors", "*.bin")  # the first that the repository has


def fetch(job: Job) -> str:
    """Download configuration, tokenizer and weights of `repo` at `revision` into `output`; name the commit it is.

    The revision is resolved once and the commit downloaded, so that a branch that moves meanwhile can't mix two.
    """
    from huggingface_hub import HfApi, snapshot_download

    repo, revision, output = text(job, "repo"), text(job, "revision"), Path(text(job, "output"))
    with _explained(repo, revision):
        info = HfApi().model_info(repo, revision=revision)
    names = [str(file.rfilename) for file in info.siblings or ()]
    weights = next((pattern for pattern in WEIGHTS if _top_level(names, pattern)), None)
    if weights is None:
        raise Failed(f"{repo} at {info.sha} has neither safetensors nor .bin weights: {some(names) or 'no file'}")
    wanted = [name for pattern in (*DESCRIPTION, weights) for name in _top_level(names, pattern)]
    with _explained(repo, revision):
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


@contextlib.contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Say in the hub's refusals what was refused, which its client leaves out of their first line."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    token = "HF_TOKEN may not read it" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
    try:
        yield
    except RevisionNotFoundError:
        raise Failed(f"{repo} has no revision {revision!r}") from None
    except GatedRepoError:
        raise Failed(f"{repo} is a gated repository, and {token}") from None
    except RepositoryNotFoundError:
        raise Failed(f"the hub shows no model {repo}: the name is wrong, or it is private and {token}") from None


CHECKS = (("fetch-hub", fetch),)
