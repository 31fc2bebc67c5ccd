"""Reads the layers of an image entry by entry, with every property of an entry that an audit needs."""

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
"""The files whose content is kept, not only hashed."""

LARGEST_KEPT = 1_000_000
"""The most bytes kept of such a file."""

HARMLESS_PAX = frozenset({"path", "linkpath", "size"})
"""Extended headers that only hold values too long for the header's own fields."""

WHITEOUT = ".wh."
"""The prefix of an entry's name that removes a file of the layers below."""

FILE, FOLDER, LINK, HARD_LINK, SPECIAL = "file", "folder", "symbolic link", "hard link", "special file"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """One entry of a layer; `path` is as in the tar file, without a leading `./` and a trailing `/`.

    `target` is the target of a link, `mtime` is in seconds, `sha256` is that of a file's content, `content` the kept part of it,
    and `surprises` are the names of extended headers that hold more than a long name.
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
        """A description for messages about an unexpected entry."""
        if self.name.startswith(WHITEOUT):
            return "a whiteout, which removes files of other layers"
        where = f" to {self.target}" if self.target else ""
        return f"a {self.kind}{where} of mode {self.mode:o} and owner {self.owner[0]}:{self.owner[1]}"


def read_entries(archive: Archive, layer: Layer, unpack: Mapping[str, Path]) -> Iterator[LayerEntry]:
    """The entries of `layer` in order; `unpack` maps paths in the layer to files to write their content to.

    Raises VerificationError if the layer can't be read or a digest does not match, and DiskFullError.
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
    """The sha256 of a file, and its content if it is one to keep; it is also written to `copy`, if given."""
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
    """Raises DiskFullError if the block fails to write to `path`."""
    try:
        yield
    except OSError as error:
        hint = "make room, or set TMPDIR to a folder on a larger disk"
        raise DiskFullError(str(path), f"can't be written: {error.strerror or error}", hint=hint) from error


def _surprises(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Extended headers that hold more than a long name, or that tar readers interpret differently.

    If both a GNU and a POSIX header give a name, readers disagree on which one counts.
    """
    records = [f" {key}={value}\n".encode(errors="surrogateescape") for key, value in member.pax_headers.items()]
    extended = sum(map(_record_size, records))
    expected = 512 + (512 + -(-extended // 512) * 512 if extended else 0)
    size = member.offset_data - member.offset
    odd = [] if size == expected else [f"{size} bytes of headers (expected {expected})"]
    return (*sorted({*member.pax_headers} - HARMLESS_PAX), *odd)


def _record_size(record: bytes) -> int:
    """Bytes of an extended header's `record` with its length in front, which counts itself."""
    size = len(record)
    while size < len(record) + len(str(size)):
        size = len(record) + len(str(size))
    return size


def _kind(member: tarfile.TarInfo) -> str:
    """The kind of an entry. Stricter than tarfile about files: our builds write no sparse ones."""
    if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return FILE
    if member.issym():
        return LINK
    if member.islnk():
        return HARD_LINK
    return FOLDER if member.isdir() else SPECIAL
