"""Compares two layers file by file and describes the differences. Files may be gigabytes; each is read once, forwards."""

import datetime as dt
import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envgen.oci.archive import Archive, Layer
from envgen.oci.tar_reader import CHUNK

_KINDS = {
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}
_REDUNDANT_PAX = frozenset(("path", "linkpath", "size", "mtime", "uid", "gid", "uname", "gname"))
"""Pax headers that repeat other fields of an entry."""

_XATTR = "SCHILY.xattr."


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference between two images: its layer, its file or part of the configuration, what differs, and both values.

    `layer` is empty for the image as a whole, `path` for a layer as a whole; a missing value is empty.
    """

    layer: str
    path: str
    what: str
    first: str = ""
    second: str = ""


Key = tuple[str, int]
"""The path of an entry, and how many earlier entries have the same path: a layer may have a path twice."""

Entry = Mapping[str, str]
"""The properties of a file in a layer, by name."""


def read_entries(archive: Archive, layer: Layer) -> dict[Key, Entry]:
    """The entries of a layer in their order. Raises VerificationError."""
    seen: Counter[str] = Counter()
    found: dict[Key, Entry] = {}
    for member, stream in archive.files(layer):
        entry = _entry(member)
        if stream is not None:
            digest = hashlib.sha256()
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
            entry["content"] = f"{member.size} bytes, sha256:{digest.hexdigest()}"
        path = member.name.removeprefix("./").rstrip("/") or "/"
        found[path, seen[path]] = entry
        seen[path] += 1
    return found


def _entry(member: tarfile.TarInfo) -> dict[str, str]:
    found = {"kind": _KINDS.get(member.type, "file")}
    if member.issym() or member.islnk():
        found["link target"] = member.linkname
    if member.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        found["device"] = f"{member.devmajor}:{member.devminor}"
    names = f" ({member.uname}:{member.gname})" if member.uname or member.gname else ""
    found["mode"] = f"{member.mode:04o}"
    found["owner"] = f"{member.uid}:{member.gid}{names}"
    found["mtime"] = instant(member.mtime)
    for name, value in sorted(member.pax_headers.items()):
        if name.startswith(_XATTR):
            found[f"extended attribute {name.removeprefix(_XATTR)}"] = repr(value)
        elif name not in _REDUNDANT_PAX:
            found[f"pax header {name}"] = repr(value)
    return found


def instant(seconds: float) -> str:
    """A time in a layer, as text; a number of seconds if it is outside the calendar."""
    try:
        return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s after 1970"


def entry_differences(layer: str, first: Mapping[Key, Entry], second: Mapping[Key, Entry]) -> Iterator[Difference]:
    """The differences between the entries of the two versions of `layer`."""
    for key in sorted(first.keys() | second.keys()):
        path = key[0]
        if key not in second:
            yield Difference(layer=layer, path=path, what="only in the first", first=first[key]["kind"])
        elif key not in first:
            yield Difference(layer=layer, path=path, what="only in the second", second=second[key]["kind"])
        else:
            yield from (
                Difference(layer=layer, path=path, what=what, first=mine, second=other)
                for what, mine, other in _changes(first[key], second[key])
            )
    both = zip([key for key in first if key in second], [key for key in second if key in first], strict=True)
    if moved := next((pair for pair in both if pair[0] != pair[1]), None):
        # Only the first one is reported: everything after it is shifted too.
        yield Difference(layer=layer, path="", what="order of entries, beginning with", first=moved[0][0], second=moved[1][0])


def _changes(first: Entry, second: Entry) -> Iterator[tuple[str, str, str]]:
    """The properties that differ between two entries, with both values; entries of different kinds are not compared further."""
    names = ["kind"] if first["kind"] != second["kind"] else dict.fromkeys((*first, *second))
    for name in names:
        mine, other = first.get(name, ""), second.get(name, "")
        if mine != other:
            yield name, mine, other
