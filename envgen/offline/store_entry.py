"""What an archive of a store may hold: wheels, bases and files of models, each by a path that follows from what it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envgen.sources import LockedModelFiles
from envgen.sources.models import COMMIT, FILE_NAME, HubFile, is_repo
from envgen.sources.wheel import WHEEL_FILE

WHEEL, BASE, MODEL = "wheel", "base", "model"
"""What a file may be, or be part of."""

LONGEST_NAME = 250
"""Bytes of a name: file systems take 255, with what is put behind it while it arrives."""

_WHEEL = re.compile(rf"wheels/(?P<sha256>[0-9a-f]{{64}})/(?P<file>{WHEEL_FILE.pattern})")
_BASE = re.compile(r"bases/(?P<digest>[0-9a-f]{64})\.tar")
_MODEL = re.compile(rf"models/(?P<repo>[^/]+)/(?P<commit>{COMMIT.pattern})/(?P<file>{FILE_NAME.pattern})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,250}@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A file of an archive: its path in there, sha256 (hex) and size in bytes; `base` is the locked base that it is, or empty."""

    path: str
    sha256: str
    size: int
    base: str = ""

    @property
    def file(self) -> str:
        """Its name without folders: for a wheel that of the wheel."""
        return self.path.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """One of the kinds above."""
        return self.path.partition("/")[0].removesuffix("s")


def wheel_entry(file: str, sha256: str, size: int) -> ArchiveMember:
    return ArchiveMember(path=f"wheels/{sha256}/{file}", sha256=sha256, size=size)


def base_entry(base: str, sha256: str, size: int) -> ArchiveMember:
    """The entry of a locked base, NAME:TAG@sha256:DIGEST."""
    return ArchiveMember(path=f"bases/{base.rpartition(':')[2]}.tar", sha256=sha256, size=size, base=base)


def model_entry(model: LockedModelFiles, file: HubFile) -> ArchiveMember:
    """The entry of a file of a model of the hub."""
    return ArchiveMember(path=f"models/{model.repo.replace('/', '--')}/{model.commit}/{file.name}", sha256=file.sha256, size=file.size)


def models_of(entries: Sequence[ArchiveMember]) -> tuple[LockedModelFiles, ...]:
    """The models of the hub that `entries` have files of, with these files, of each of which `model_entry` is the entry."""
    found: dict[tuple[str, str], list[HubFile]] = {}
    for entry in entries:
        if match := _MODEL.fullmatch(entry.path):
            file = HubFile(name=match["file"], sha256=entry.sha256, size=entry.size)
            found.setdefault((match["repo"].replace("--", "/"), match["commit"]), []).append(file)
    return tuple(LockedModelFiles(repo=repo, commit=commit, files=tuple(files)) for (repo, commit), files in found.items())


def read_entry(row: Any) -> ArchiveMember | None:
    """The entry that `row` of somebody's manifest is, None for anything that is none."""
    values = row if isinstance(row, dict) else {}
    path, sha256, base, size = str(values.get("path")), str(values.get("sha256")), str(values.get("base", "")), values.get("size")
    known = _SHA256.fullmatch(sha256) and (not base or _REFERENCE.fullmatch(base)) and values.keys() <= {"path", "sha256", "size", "base"}
    if not (known and _is_named(path, sha256, base) and type(size) is int and size >= 0):
        return None
    return ArchiveMember(path=path, sha256=sha256, size=size, base=base)


def is_too_long(row: Any) -> bool:
    """Whether `row` is of a file that can't be kept because of the length of its name alone."""
    parts = str(row.get("path")).split("/") if isinstance(row, dict) else []
    return any(len(part) > LONGEST_NAME for part in parts)


def _is_named(path: str, sha256: str, base: str) -> bool:
    """Whether an entry has the path that a file of this sha256 has, or that `base` has."""
    if wheel := _WHEEL.fullmatch(path):
        return wheel["sha256"] == sha256 and not base
    if model := _MODEL.fullmatch(path):
        return is_repo(model["repo"].replace("--", "/", 1)) and not base
    image = _BASE.fullmatch(path)
    return image is not None and base.endswith(f"@sha256:{image['digest']}")
