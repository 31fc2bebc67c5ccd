"""What is in the layers of an image, entry by entry, with everything about an entry that could matter."""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from envgen.core.errors import DiskFullError
from envgen.oci.archive import Archive, Content, Layer
from envgen.oci.tar_reader import CHUNK

KEPT = frozenset({"etc/passwd", "etc/group", "opt/venv/pyvenv.cfg"})
"""The files whose content is read, and not only hashed."""

LARGEST_KEPT = 1_000_000
"""Bytes of such a file that are read at most."""

HARMLESS_PAX = frozenset({"path", "linkpath", "size"})
"""What a tar file says in extended headers because its own fields are too short for it."""

WHITEOUT = ".wh."
"""What the name of an entry begins with that takes something of the layers below away."""

FILE, FOLDER, LINK, HARD_LINK, SPECIAL = "file", "folder", "symbolic link", "hard link", "special file"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """One entry of a layer; `path` is as written there, but for a `./` before and a `/` behind it.

    `target` is where a link leads, `mtime` is in seconds, `sha256` is that of a file's content, `content` what was read of it,
    and `surprises` are the names of its extended headers that do not just hold a long name.
    """

    path: str
    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: float
    target: str
    sha256: str
    content: bytes
    surprises: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        """What it is, in words, for an entry that should not be there."""
        if self.name.startswith(WHITEOUT):
            return "a whiteout, which removes what other layers have"
        where = f" to {self.target}" if self.target else ""
        return f"a {self.kind}{where} of mode {self.mode:o} and owner {self.owner[0]}:{self.owner[1]}"


def read_entries(archive: Archive, layer: Layer, unpack: Mapping[str, Path]) -> Iterator[LayerEntry]:
    """The entries of `layer` in their order; the files at the paths in `unpack` are written there.

    Raises VerificationError when it can't be read, or a digest of it is wrong, and DiskFullError.
    """
    for member, stream in archive.files(layer):
        path = member.name.removeprefix("./").rstrip("/") or "."
        sha256, content = _read(stream, path, unpack.get(path)) if stream else ("", b"")
        yield LayerEntry(
            path=path,
            kind=_kind(member),
            mode=member.mode,
            owner=(member.uid, member.gid),
            mtime=member.mtime,
            target=member.linkname,
            sha256=sha256,
            content=content,
            surprises=_surprises(member),
        )


def _read(stream: Content, path: str, copy: Path | None) -> tuple[str, bytes]:
    """The sha256 of a file, and its content if it is one that is kept; `copy` is where it is to be written as well."""
    digest, content = hashlib.sha256(), b""
    with written(copy) if copy else nullcontext(), copy.open("wb") if copy else nullcontext() as target:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            if path in KEPT and len(content) < LARGEST_KEPT:
                content += chunk
            if target:
                target.write(chunk)
    return digest.hexdigest(), content


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the disk while the block writes to `path` is raised as a DiskFullError."""
    try:
        yield
    except OSError as error:
        hint = "make room, or set TMPDIR to a folder on a larger disk"
        raise DiskFullError(str(path), f"can't be written: {error.strerror or error}", hint=hint) from error


def _surprises(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Extended headers that say more than a long name, and any that another reader of tar files might see otherwise.

    With a header of GNU's in front of the standard's, or the other way round, readers do not agree on an entry's name.
    """
    records = [f" {key}={value}\n".encode(errors="surrogateescape") for key, value in member.pax_headers.items()]
    told = sum(map(_record_size, records))
    expected = 512 + (512 + -(-told // 512) * 512 if told else 0)
    found = member.offset_data - member.offset
    odd = [] if found == expected else [f"{found} bytes of headers (expected {expected})"]
    return (*sorted({*member.pax_headers} - HARMLESS_PAX), *odd)


def _record_size(record: bytes) -> int:
    """The bytes of an extended header whose `record` begins behind its own length, which counts itself."""
    size = len(record)
    while size < len(record) + len(str(size)):
        size = len(record) + len(str(size))
    return size


def _kind(member: tarfile.TarInfo) -> str:
    """Not what tarfile takes for a file: sparse files are nothing that a build of ours makes."""
    if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return FILE
    if member.issym():
        return LINK
    if member.islnk():
        return HARD_LINK
    return FOLDER if member.isdir() else SPECIAL
