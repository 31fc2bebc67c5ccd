"""The archive that carries everything locks need to a machine without a network.

envgen-store.json               the manifest: path, sha256 (hex) and size in bytes of every other file, and which base it is
bases/<digest>.tar              a base as an OCI archive
models/<organisation>--<name>/<commit>/<file name>
                                a file of a model of the hub
wheels/<sha256>/<file name>     a wheel, as the store has it

An uncompressed tar file, since wheels and layers are compressed already, and weights hardly compress. The same content gives the same
bytes. Archives are untrusted input: only digests are trusted, and a lock says which digests it requires.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from envgen.core.errors import UsageError, VerificationError
from envgen.oci import add_bytes, add_file, write_tar
from envgen.oci.documents import parse_json
from envgen.oci.tar_reader import CHUNK, Slice, TarReader
from envgen.sources import LockedModelFiles
from envgen.sources.models import COMMIT, FILE_NAME, HubFile, is_repo, needed
from envgen.sources.wheel import WHEEL_FILE

MANIFEST = "envgen-store.json"
FORMAT = 1
LARGEST_MANIFEST = 8 << 20
"""Bytes: enough for 25,000 files."""

WHEEL, BASE, MODEL = "wheel", "base", "model"
"""The kinds of files, or of what they are part of."""

LONGEST_NAME = 250
"""Bytes of a name: file systems allow 255, including the suffix of partial files."""

NEWER = "was it written by a newer envgen?"

_WHEEL = re.compile(rf"wheels/(?P<sha256>[0-9a-f]{{64}})/(?P<file>{WHEEL_FILE.pattern})")
_BASE = re.compile(r"bases/(?P<digest>[0-9a-f]{64})\.tar")
_MODEL = re.compile(rf"models/(?P<repo>[^/]+)/(?P<commit>{COMMIT.pattern})/(?P<file>{FILE_NAME.pattern})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,250}@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A file of an archive: its path in the archive, sha256 (hex) and size in bytes; `base` is the locked base it contains, or empty."""

    path: str
    sha256: str
    size: int
    base: str = ""

    @property
    def file(self) -> str:
        """The name without folders; for a wheel, the wheel's file name."""
        return self.path.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """One of the kinds above."""
        return self.path.partition("/")[0].removesuffix("s")


def wheel_entry(file: str, sha256: str, size: int) -> ArchiveMember:
    return ArchiveMember(path=f"wheels/{sha256}/{file}", sha256=sha256, size=size)


def base_entry(base: str, sha256: str, size: int) -> ArchiveMember:
    """The member for a locked base, NAME:TAG@sha256:DIGEST."""
    return ArchiveMember(path=f"bases/{base.rpartition(':')[2]}.tar", sha256=sha256, size=size, base=base)


def model_entry(model: LockedModelFiles, file: HubFile) -> ArchiveMember:
    """The member for a file of a model from the hub."""
    return ArchiveMember(path=f"models/{model.repo.replace('/', '--')}/{model.commit}/{file.name}", sha256=file.sha256, size=file.size)


def models_of(entries: Sequence[ArchiveMember]) -> tuple[LockedModelFiles, ...]:
    """The hub models with files among `entries`, each with these files: the inverse of `model_entry`."""
    models: dict[tuple[str, str], list[HubFile]] = {}
    for entry in entries:
        if match := _MODEL.fullmatch(entry.path):
            file = HubFile(name=match["file"], sha256=entry.sha256, size=entry.size)
            models.setdefault((match["repo"].replace("--", "/"), match["commit"]), []).append(file)
    return tuple(LockedModelFiles(repo=repo, commit=commit, files=tuple(files)) for (repo, commit), files in models.items())


def read_entry(row: Any) -> ArchiveMember | None:
    """Parses a manifest row; None if it is not a valid entry."""
    values = row if isinstance(row, dict) else {}
    path, sha256, base, size = str(values.get("path")), str(values.get("sha256")), str(values.get("base", "")), values.get("size")
    valid = _SHA256.fullmatch(sha256) and (not base or _REFERENCE.fullmatch(base)) and values.keys() <= {"path", "sha256", "size", "base"}
    if not (valid and _has_valid_path(path, sha256, base) and type(size) is int and size >= 0):
        return None
    return ArchiveMember(path=path, sha256=sha256, size=size, base=base)


def is_too_long(row: Any) -> bool:
    """Whether the file of `row` has a name too long to be stored."""
    parts = str(row.get("path")).split("/") if isinstance(row, dict) else []
    return any(len(part) > LONGEST_NAME for part in parts)


def _has_valid_path(path: str, sha256: str, base: str) -> bool:
    """Whether `path` is the path of a file with this sha256, or of `base`."""
    if wheel := _WHEEL.fullmatch(path):
        return wheel["sha256"] == sha256 and not base
    if model := _MODEL.fullmatch(path):
        return is_repo(model["repo"].replace("--", "/", 1)) and not base
    image = _BASE.fullmatch(path)
    return image is not None and base.endswith(f"@sha256:{image['digest']}")


def write_archive(stream: BinaryIO, content: Mapping[ArchiveMember, Path]) -> None:
    """Writes an archive of the files in `content` to `stream`; each is read once and checked.

    Raises VerificationError for a file that does not match its entry, and OSError.
    """
    entries = sorted(content, key=lambda entry: entry.path)
    with write_tar(stream) as tar:
        add_bytes(tar, MANIFEST, _dump(entries))
        for entry in entries:
            path = content[entry]
            size = path.stat().st_size
            if size != entry.size:
                raise _corrupt(path, f"found {size} bytes, expected {entry.size}")
            with path.open("rb") as source:
                sha256 = add_file(tar, entry.path, source, size)
            if sha256 != entry.sha256:
                raise _corrupt(path, f"found sha256 {sha256}, expected {entry.sha256}")


def _corrupt(path: Path, detail: str) -> VerificationError:
    hint = "remove it and fetch it again: envgen fetch PROFILE"
    return VerificationError(str(path), f"corrupt: {detail}; nothing was written", hint=hint)


def _dump(entries: Sequence[ArchiveMember]) -> bytes:
    rows = [{key: value for key, value in asdict(entry).items() if value != ""} for entry in entries]
    return json.dumps({"format": FORMAT, "files": rows}, indent=1, sort_keys=True).encode() + b"\n"


class StoreArchive:
    """The archive in the file `path`: a context manager that checks everything but the content of its files when it is opened.

    Raises VerificationError for an archive that is invalid, incomplete or has extra files, and UsageError for an unreadable file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            hint = "expected an archive, as in wheels.tar"
            raise UsageError(str(path), f"can't be read: {error.strerror or error}", hint=hint) from error
        try:
            self._read_headers()
        except (OSError, tarfile.TarError, ValueError) as error:
            self._file.close()
            raise self._wrong(f"can't be read as an archive: {error}") from error
        except BaseException:
            self._file.close()
            raise

    def _read_headers(self) -> None:
        tar = TarReader(self._file, seek=self._file.seek)
        members = iter(tar)
        self.entries = self._parse(self._manifest(tar, next(members, None)))
        for model in self.models:
            if "config.json" not in (names := [file.name for file in model.files]) or not needed(names):
                raise self._wrong(f"{MANIFEST} has {model.name} without its configuration or its weights")
        self._places = self._find_members(members)

    def __enter__(self) -> "StoreArchive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def wheels(self) -> tuple[ArchiveMember, ...]:
        return tuple(entry for entry in self.entries if entry.kind == WHEEL)

    @property
    def bases(self) -> tuple[ArchiveMember, ...]:
        return tuple(entry for entry in self.entries if entry.kind == BASE)

    @property
    def models(self) -> tuple[LockedModelFiles, ...]:
        """The hub models with files in the archive, with these files (see `model_entry`)."""
        return models_of(self.entries)

    def content(self, entry: ArchiveMember) -> Iterator[bytes]:
        """The content of a file in chunks; its sha256 is checked after the last one. Raises VerificationError."""
        digest = hashlib.sha256()
        stream = Slice(self._file, self._places[entry.path], entry.size)
        try:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                yield piece
        except OSError as error:
            raise self._wrong(f"{entry.path} can't be read: {error}") from error
        if digest.hexdigest() != entry.sha256:
            raise self._wrong(f"{entry.path} has sha256 {digest.hexdigest()}, expected {entry.sha256}")

    def _manifest(self, tar: TarReader, member: tarfile.TarInfo | None) -> object:
        if member is None or member.name != MANIFEST or not _is_plain(member) or member.size > LARGEST_MANIFEST:
            raise self._wrong(f"does not begin with {MANIFEST}", hint="expected an archive written by envgen store export")
        return parse_json(tar.read(member))

    def _parse(self, manifest: object) -> tuple[ArchiveMember, ...]:
        rows = manifest.get("files") if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None
        if not isinstance(rows, list):
            raise self._wrong(f"{MANIFEST} has an unsupported format, expected {FORMAT}", hint=NEWER)
        entries = tuple(self._entry(row) for row in rows)
        if len({entry.path for entry in entries}) != len(entries):
            raise self._wrong(f"{MANIFEST} lists a file twice")
        return entries

    def _entry(self, row: object) -> ArchiveMember:
        entry = read_entry(row)
        if is_too_long(row):
            raise self._wrong(f"{MANIFEST} has a file name longer than {LONGEST_NAME} bytes: {str(row)[:200]!a}")
        if entry is None:
            raise self._wrong(f"{MANIFEST} has an invalid entry: {str(row)[:200]!a}", hint=NEWER)
        return entry

    def _find_members(self, members: Iterator[tarfile.TarInfo]) -> dict[str, int]:
        """The offset of each file's content: the archive must have exactly the files that the manifest lists."""
        sizes = {entry.path: entry.size for entry in self.entries}
        offsets: dict[str, int] = {}
        for member in members:
            if member.name not in sizes or not _is_plain(member):
                raise self._wrong(f"contains {member.name[:200]!a}, which {MANIFEST} does not list")
            if member.name in offsets:
                raise self._wrong(f"contains {member.name} twice")
            if member.size != sizes[member.name]:
                raise self._wrong(f"{member.name} has {member.size} bytes, expected {sizes[member.name]}")
            offsets[member.name] = member.offset_data
        missing = [path for path in sizes if path not in offsets]
        if missing:
            raise self._wrong(f"truncated or modified: {len(missing)} of {len(sizes)} files are missing, such as {missing[0]}")
        return offsets

    def _wrong(self, problem: str, hint: str = "") -> VerificationError:
        return VerificationError(str(self._path), problem, hint=hint or "create it again: envgen store export FILE PROFILE")


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a regular file, not a link or a device."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
