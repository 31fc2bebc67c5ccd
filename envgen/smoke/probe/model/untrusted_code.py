"""Checks that code in a model does not run: a pickle that executes code, and a Python file named in config.json.

Each bait makes a marker folder. Each check first triggers its bait with the protection off: a bait that does not work would
prove nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import model_under_test as subjects
from harness import Failed, Job

REMOTE = """\
import os

os.mkdir({marker!r})

from transformers import PretrainedConfig, PreTrainedModel


class BaitConfig(PretrainedConfig):
    model_type = "envgen-bait"


class BaitModel(PreTrainedModel):
    config_class = BaitConfig
"""


class Bait:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def bait(marker: Path) -> Bait:
    """Return an object whose pickle makes the folder `marker`."""
    return Bait(marker)


def require_absent(marker: Path, what: str) -> None:
    """Raise Failed if the marker shows that `what` was executed."""
    if marker.exists():
        raise Failed(f"{what} was executed")


def refuse_pickle(job: Job) -> str:
    """Load a pytorch_model.bin whose pickle would make a folder: it is refused, and no folder is made."""
    import torch

    subject = subjects.small(job)
    with subjects.scratch() as folder:
        marker, file = folder / "executed", folder / "pytorch_model.bin"
        subjects.copy_without_weights(subject.folder, folder)
        torch.save({"bait": bait(marker)}, file)
        torch.load(file, weights_only=False)
        _require_bait_worked(marker)
        try:
            subjects.load(subject, folder)
        except Exception as refusal:
            require_absent(marker, "the pickle, though refused in the end,")
            _require_reason(refusal, "weights_only", pickle.UnpicklingError)
            return f"{subject.name}: refused with {type(refusal).__name__}"
        require_absent(marker, "the pickle")
    raise Failed("a .bin with a call of os.mkdir instead of weights was loaded without an error")


def refuse_remote_code(job: Job) -> str:
    """Load a model whose config.json names a Python file beside it, with trust_remote_code=False: it is refused."""
    import transformers
    from transformers import dynamic_module_utils

    subject = subjects.small(job)
    with subjects.scratch() as folder, subjects.scratch() as modules:
        marker = folder / "executed"
        subjects.copy_without_weights(subject.folder, folder)
        config = subjects.configuration(folder)
        pointers = {"AutoConfig": "bait.BaitConfig", subject.auto_class: "bait.BaitModel"}
        config.update(model_type="envgen-bait", architectures=["BaitModel"], auto_map=pointers)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "bait.py").write_text(REMOTE.format(marker=str(marker)), encoding="utf-8")
        with (
            mock.patch.object(dynamic_module_utils, "HF_MODULES_CACHE", str(modules)),
            mock.patch.object(sys, "path", [*sys.path]),
        ):
            transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=True)
            _require_bait_worked(marker)
            for auto_class in (transformers.AutoConfig, getattr(transformers, subject.auto_class)):
                _require_refused(auto_class, folder, marker)
    return f"{subject.name}: refused by AutoConfig and {subject.auto_class}"


def _require_refused(auto_class: Any, folder: Path, marker: Path) -> None:
    """Raise Failed unless `auto_class` refuses the folder because its code is not trusted, without running it."""
    try:
        auto_class.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as refusal:
        require_absent(marker, f"remote code, though refused by {auto_class.__name__} in the end,")
        _require_reason(refusal, "trust_remote_code")
        return
    require_absent(marker, "remote code")
    raise Failed(f"{auto_class.__name__} loaded a model with code of its own without an error")


def _require_bait_worked(marker: Path) -> None:
    """Raise Failed unless the marker exists, and remove it."""
    if not marker.exists():
        raise Failed("the bait does not execute when it is allowed to, so its refusal would prove nothing")
    marker.rmdir()


def _require_reason(refusal: BaseException, word: str, kind: type[BaseException] | None = None) -> None:
    """Raise Failed unless the refusal or its cause names `word` or is of `kind`: another error is not a refusal."""
    cause: BaseException | None = refusal
    while cause is not None:
        if word in str(cause) or (kind is not None and isinstance(cause, kind)):
            return
        cause = cause.__cause__ or cause.__context__
    raise Failed(f"refused, but for another reason: {type(refusal).__name__}: {refusal}") from refusal
