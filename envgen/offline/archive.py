"""What locks need as one archive, to be carried to a machine without a network.

envgen-store.json               the manifest: of every other file its path, sha256 (hex) and size in bytes, and which base it is
bases/<digest>.tar              a base as an OCI archive
models/<organisation>--<name>/<commit>/<file name>
                                a file of a model of the hub
wheels/<sha256>/<file name>     a wheel, as the store has it

An uncompressed tar file, since wheels and layers are compressed, and weights hardly can be. It has the same bytes for the same content.
Who makes an archive may put anything into it: what is in here is believed only as far as its digests go, and a lock says which digests
are wanted.
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


def write_archive(stream: BinaryIO, content: Mapping[ArchiveMember, Path]) -> None:
    """Writes an archive of the files that `content` names into `stream`, each read once and checked.

    Raises VerificationError for a file that is not what its entry says, and OSError.
    """
    entries = sorted(content, key=lambda entry: entry.path)
    with write_tar(stream) as tar:
        add_bytes(tar, MANIFEST, _dump(entries))
        for entry in entries:
            path = content[entry]
            size = path.stat().st_size
            if size != entry.size:
                raise _damaged(path, f"found {size} bytes, expected {entry.size}")
            with path.open("rb") as source:
                found = add_file(tar, entry.path, source, size)
            if found != entry.sha256:
                raise _damaged(path, f"found sha256 {found}, expected {entry.sha256}")


def _damaged(path: Path, found: str) -> VerificationError:
    return VerificationError(str(path), f"{found}: damaged; nothing was written", hint="remove it and fetch it anew: envgen fetch PROFILE")


def _dump(entries: Sequence[ArchiveMember]) -> bytes:
    rows = [{key: value for key, value in asdict(entry).items() if value != ""} for entry in entries]
    return json.dumps({"format": FORMAT, "files": rows}, indent=1, sort_keys=True).encode() + b"\n"


class StoreArchive:
    """The archive in the file `path`, open as long as the context lasts; all but the content of its files is checked when it is opened.

    Raises VerificationError for what is no such archive, whole and without anything more, and UsageError where no file can be read.
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
        """The models of the hub, with those of their files that are in here, each of which is `model_entry`."""
        return models_of(self.entries)

    def content(self, entry: ArchiveMember) -> Iterator[bytes]:
        """The content of a file, piece by piece; after the last one its sha256 is checked. Raises VerificationError."""
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
            raise self._wrong(f"does not begin with {MANIFEST}", hint="expected what envgen store export has written")
        return parse_json(tar.read(member))

    def _parse(self, manifest: object) -> tuple[ArchiveMember, ...]:
        rows = manifest.get("files") if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None
        if not isinstance(rows, list):
            raise self._wrong(f"{MANIFEST} has another format than {FORMAT}", hint="is there a newer envgen?")
        entries = tuple(self._entry(row) for row in rows)
        if len({entry.path for entry in entries}) != len(entries):
            raise self._wrong(f"{MANIFEST} names a file twice")
        return entries

    def _entry(self, row: object) -> ArchiveMember:
        entry = read_entry(row)
        if is_too_long(row):
            raise self._wrong(f"{MANIFEST} has a file whose name is invalid: longer than {LONGEST_NAME} bytes: {str(row)[:200]!a}")
        if entry is None:
            problem = f"{MANIFEST} has an entry that is neither a wheel nor a base nor of a model: {str(row)[:200]!a}"
            raise self._wrong(problem, hint="is there a newer envgen?")
        return entry

    def _find_members(self, members: Iterator[tarfile.TarInfo]) -> dict[str, int]:
        """Where in the tar file the content of each file is: of all that the manifest names, each once, and nothing more."""
        sizes = {entry.path: entry.size for entry in self.entries}
        found: dict[str, int] = {}
        for member in members:
            if member.name not in sizes or not _is_plain(member):
                raise self._wrong(f"holds {member.name[:200]!a}, which is no file that {MANIFEST} names")
            if member.name in found:
                raise self._wrong(f"holds {member.name} twice")
            if member.size != sizes[member.name]:
                raise self._wrong(f"{member.name} has {member.size} bytes, expected {sizes[member.name]}")
            found[member.name] = member.offset_data
        missing = [path for path in sizes if path not in found]
        if missing:
            raise self._wrong(f"is cut off, or was changed: it lacks {len(missing)} of {len(sizes)} files, such as {missing[0]}")
        return found

    def _wrong(self, problem: str, hint: str = "") -> VerificationError:
        return VerificationError(str(self._path), problem, hint=hint or "make it anew: envgen store export FILE PROFILE")


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a file, and no more than that: no link and no device."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
