"""What locks need as one archive, to be carried to a machine without a network.

envgen-store.json               the manifest: of every other file its path, sha256 (hex) and size in bytes, and which base it is
bases/<digest>.tar              a base as an OCI archive
wheels/<sha256>/<file name>     a wheel, as the store has it

An uncompressed tar file, since wheels and layers are compressed. It has the same bytes for the same content. Who makes an archive may put
anything into it: what is in here is believed only as far as its digests go, and a lock says which digests are wanted.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from envgen.errors import UsageError, VerificationError
from envgen.lock import WHEEL_FILE
from envgen.tars import add_bytes, add_file, write_tar

MANIFEST = "envgen-store.json"
FORMAT = 1
LARGEST_MANIFEST = 16 << 20
"""Bytes: enough for 50,000 files."""

CHUNK = 1 << 20
"""Bytes that are read at a time; no header of an archive of ours is larger."""

_WHEEL = re.compile(rf"wheels/(?P<sha256>[0-9a-f]{{64}})/(?P<file>{WHEEL_FILE.pattern})")
_BASE = re.compile(r"bases/(?P<digest>[0-9a-f]{64})\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,250}@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of an archive: its path in there, sha256 (hex) and size in bytes; `base` is the locked base that it is, or empty."""

    path: str
    sha256: str
    size: int
    base: str = ""

    @property
    def file(self) -> str:
        """Its name without folders: for a wheel that of the wheel."""
        return self.path.rpartition("/")[2]


def wheel_entry(file: str, sha256: str, size: int) -> Entry:
    return Entry(path=f"wheels/{sha256}/{file}", sha256=sha256, size=size)


def base_entry(base: str, sha256: str, size: int) -> Entry:
    """The entry of a locked base, NAME:TAG@sha256:DIGEST."""
    return Entry(path=f"bases/{base.rpartition(':')[2]}.tar", sha256=sha256, size=size, base=base)


def write_archive(stream: BinaryIO, content: Mapping[Entry, Path]) -> None:
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


def _dump(entries: Sequence[Entry]) -> bytes:
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
        except (OSError, tarfile.TarError, ValueError, RecursionError) as error:
            self._file.close()
            raise self._wrong(f"can't be read as an archive: {error}") from error
        except BaseException:
            self._file.close()
            raise

    def _read_headers(self) -> None:
        # No "with": it stays open.
        self._tar = tarfile.open(fileobj=_InPieces(self._file), mode="r:")  # type: ignore[call-overload]  # noqa: SIM115  (read, seek, tell)
        self.entries = self._parse(self._manifest())
        self._members = self._find_members()

    def __enter__(self) -> "StoreArchive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def wheels(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if not entry.base)

    @property
    def bases(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.base)

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file, piece by piece; after the last one its sha256 is checked. Raises VerificationError."""
        digest = hashlib.sha256()
        try:
            stream = self._tar.extractfile(self._members[entry.path])
            assert stream is not None
            while piece := stream.read(CHUNK):
                digest.update(piece)
                yield piece
        except (OSError, tarfile.TarError) as error:
            raise self._wrong(f"{entry.path} can't be read: {error}") from error
        if digest.hexdigest() != entry.sha256:
            raise self._wrong(f"{entry.path} has sha256 {digest.hexdigest()}, expected {entry.sha256}")

    def _manifest(self) -> object:
        member = self._tar.next()
        if member is None or member.name != MANIFEST or not _is_plain(member) or member.size > LARGEST_MANIFEST:
            raise self._wrong(f"does not begin with {MANIFEST}", hint="expected what envgen store export has written")
        stream = self._tar.extractfile(member)
        assert stream is not None
        return json.loads(b"".join(iter(lambda: stream.read(CHUNK), b"")))

    def _parse(self, manifest: object) -> tuple[Entry, ...]:
        rows = manifest.get("files") if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None
        if not isinstance(rows, list):
            raise self._wrong(f"{MANIFEST} has another format than {FORMAT}", hint="is there a newer envgen?")
        entries = tuple(self._entry(row) for row in rows)
        if len({entry.path for entry in entries}) != len(entries):
            raise self._wrong(f"{MANIFEST} names a file twice")
        return entries

    def _entry(self, row: Any) -> Entry:
        values = row if isinstance(row, dict) else {}
        path, sha256, base, size = str(values.get("path")), str(values.get("sha256")), str(values.get("base", "")), values.get("size")
        wheel, image = _WHEEL.fullmatch(path), _BASE.fullmatch(path)
        named = wheel["sha256"] == sha256 and not base if wheel else image and base.endswith(f"@sha256:{image['digest']}")
        known = _SHA256.fullmatch(sha256) and (not base or _REFERENCE.fullmatch(base))
        if not (named and known and type(size) is int and size >= 0 and values.keys() <= {"path", "sha256", "size", "base"}):
            problem = f"{MANIFEST} has an entry that is neither a wheel nor a base: {str(row)[:200]!a}"
            raise self._wrong(problem, hint="is there a newer envgen?")
        return Entry(path=path, sha256=sha256, size=size, base=base)

    def _find_members(self) -> dict[str, tarfile.TarInfo]:
        """Where in the tar file each file is: all that the manifest names, each once, and nothing more."""
        sizes = {entry.path: entry.size for entry in self.entries}
        found: dict[str, tarfile.TarInfo] = {}
        while member := self._tar.next():
            if member.name not in sizes or not _is_plain(member):
                raise self._wrong(f"holds {member.name[:200]!a}, which is no file that {MANIFEST} names")
            if member.name in found:
                raise self._wrong(f"holds {member.name} twice")
            if member.size != sizes[member.name]:
                raise self._wrong(f"{member.name} has {member.size} bytes, expected {sizes[member.name]}")
            found[member.name] = member
        missing = [path for path in sizes if path not in found]
        if missing:
            raise self._wrong(f"is cut off, or was changed: it lacks {len(missing)} of {len(sizes)} files, such as {missing[0]}")
        return found

    def _wrong(self, problem: str, hint: str = "") -> VerificationError:
        return VerificationError(str(self._path), problem, hint=hint or "make it anew: envgen store export FILE PROFILE")


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a file, and no more than that: no link, no device, no file with holes."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


class _InPieces:
    """A file of which nobody reads much at once: tarfile reads headers of any size into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"found a header of {size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int) -> int:
        return self._stream.seek(offset)

    def tell(self) -> int:
        return self._stream.tell()
