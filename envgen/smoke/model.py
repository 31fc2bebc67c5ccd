"""The model of a smoke test: the embedded one, a folder, a model shipped in a wheel, or one from the hub."""

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
    """A model folder, its name in reports, and its known answer.

    `digest` is that of its wheel, or the one over its files; empty for the embedded model and for a folder.
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

    Raises UsageError for an invalid folder, SmokeError for one that the container's user could not read.
    """
    if URL.match(text):
        raise UsageError(
            "--model", f"found a URL, {text!r}: transformers 5 no longer loads models from URLs",
            hint="download the folder and give its path, or name it as hub:ORG/NAME@REVISION",
        )  # fmt: skip
    folder = Path(text)
    if not (folder / "config.json").is_file():
        problem = "has no config.json" if folder.is_dir() else "no such folder"
        raise UsageError(f"--model {text}", problem, hint="give a folder as save_pretrained writes it, or hub:ORG/NAME@REVISION")
    check_readable(folder)
    return Model(name=text, folder=folder, prompt=prompt, expect=expect)


def check_readable(folder: Path) -> None:
    """Raises SmokeError unless every file in `folder` can be read by users other than its owner.

    transformers would only report a missing file (save_pretrained writes weights with mode 0600), and would wait for a pipe for ever.
    """
    for path in (folder, *sorted(folder.rglob("*"))):
        mode = _plain_mode(path, folder)
        required = 0o005 if kind_of(mode) else 0o004
        if mode & required != required:
            problem = f"mode {mode & 0o777:04o}: the image's user, who is not root, can't read it"
            raise SmokeError(str(path), problem, hint=f"chmod -R a+rX {shlex.quote(str(folder))}")


def check_plain(folder: Path) -> None:
    """Raises SmokeError unless `folder` has only files, folders, and links to these."""
    for path in folder.rglob("*"):
        _plain_mode(path, folder)


def _plain_mode(path: Path, folder: Path) -> int:
    """The mode of `path` in `folder`, with links followed. Raises SmokeError unless it is a file or a folder inside `folder`."""
    try:
        mode = path.stat().st_mode
        outside = path != folder and path.is_symlink() and leads_out(path, folder)
    except OSError as error:
        problem = "a broken link" if path.is_symlink() else f"can't be read: {error.strerror or error}"
        raise SmokeError(str(path), problem, hint=_AGAIN) from error
    if outside:
        problem = "a link out of the model's folder: its target would not be in the container"
        raise SmokeError(str(path), problem, hint=f"copy the folder with the targets of its links: cp -rL {shlex.quote(str(folder))} COPY")
    if (kind := kind_of(mode)) not in ("", "a folder"):
        raise SmokeError(str(path), f"is {kind}, expected files and folders", hint=_AGAIN)
    return mode
