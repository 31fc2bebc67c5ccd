"""The model a smoke test loads: the embedded one, a folder, a model that a package ships, or one from the hub."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import SmokeError, UsageError
from envgen.core.plain_files import kind_of, leads_out
from envgen.sources.models import EMBEDDED as EMBEDDED_NAME

EMBEDDED = Path(__file__).parent / "models" / "embedded"
"""The small Llama that tests/model/train.py made."""

_AGAIN = "remove it, or fetch the model again"

URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model folder, what reports call it, and what it is known to answer.

    `digest` is that of the wheel it is from, or the one over its files; empty for the embedded one, and for a folder.
    """

    name: str
    folder: Path
    digest: str = ""
    recorded: Mapping[str, object] | None = None
    prompt: str = ""
    expect: str = ""


def embedded_model() -> Model:
    return Model(name=EMBEDDED_NAME, folder=EMBEDDED, recorded=json.loads((EMBEDDED / "recorded.json").read_text(encoding="utf-8")))


def folder_model(text: str, prompt: str, expect: str) -> Model:
    """The model in the folder `text`.

    Raises UsageError for what is no folder, SmokeError for one that the container's user could not read.
    """
    if URL.match(text):
        raise UsageError(
            "--model", f"found a URL, {text!r}: transformers 5 loads no model from a URL any more",
            hint="download the folder and give its path, or name it as hub:ORG/NAME@REVISION",
        )  # fmt: skip
    folder = Path(text)
    if not (folder / "config.json").is_file():
        problem = "has no config.json" if folder.is_dir() else "there is no such folder"
        raise UsageError(f"--model {text}", problem, hint="give a folder as save_pretrained writes it, or hub:ORG/NAME@REVISION")
    check_readable(folder)
    return Model(name=text, folder=folder, prompt=prompt, expect=expect)


def check_readable(folder: Path) -> None:
    """Raises SmokeError unless every file in `folder` may be read by a user who is not its owner, where the folder is mounted.

    transformers would say no more than that there is no such file (save_pretrained writes weights with mode 0600), and wait for a pipe.
    """
    for path in (folder, *sorted(folder.rglob("*"))):
        mode = _plain_mode(path, folder)
        wanted = 0o005 if kind_of(mode) else 0o004
        if mode & wanted != wanted:
            problem = f"mode {mode & 0o777:04o}: the image's user, who is not root, can't read it"
            raise SmokeError(str(path), problem, hint=f"chmod -R a+rX {shlex.quote(str(folder))}")


def check_plain(folder: Path) -> None:
    """Raises SmokeError unless all in `folder` is files and folders, and links to such in there."""
    for path in folder.rglob("*"):
        _plain_mode(path, folder)


def _plain_mode(path: Path, folder: Path) -> int:
    """The mode of what is at `path` in `folder`, or of what it leads to. Raises SmokeError unless that is a file or a folder in there."""
    try:
        mode = path.stat().st_mode
        outside = path != folder and path.is_symlink() and leads_out(path, folder)
    except OSError as error:
        problem = "a link that leads nowhere" if path.is_symlink() else f"can't be read: {error.strerror or error}"
        raise SmokeError(str(path), problem, hint=_AGAIN) from error
    if outside:
        problem = "a link that leads out of the model's folder: the image would not have what it leads to"
        raise SmokeError(str(path), problem, hint=f"copy the folder with what its links lead to: cp -rL {shlex.quote(str(folder))} COPY")
    if (kind := kind_of(mode)) not in ("", "a folder"):
        raise SmokeError(str(path), f"is {kind}, expected files and folders", hint=_AGAIN)
    return mode
