"""Predicts every file that uv installs from a wheel, byte for byte, without running it.

Valid for `uv pip install` of uv 0.12.24 to 0.13.9 with UV_NO_INSTALLER_METADATA=1, into a POSIX virtual environment
whose interpreter is <prefix>/bin/python; tests/integration/test_static_audit.py compares it with the installed uv.

The digest of a member comes from the wheel's own RECORD. The wheel's sha256 was verified when it was fetched, so
its RECORD is the publisher's; if a member contradicted it, the check inside the image would fail. Only members without a
sha256 in RECORD are read and hashed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import normpath, relpath
from zipfile import BadZipFile, ZipFile

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from envgen.core.errors import SmokeError
from envgen.core.zips import open_zip, read_member
from envgen.smoke.launchers import Layout, launchers, with_shebang


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """One file; `path` is relative to the prefix."""

    path: str
    sha256: str
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledWheel:
    """All files of one wheel; `directories` are those listed in the wheel, which may be empty."""

    name: str
    version: str
    files: tuple[InstalledFile, ...]
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wheel:
    """An open wheel; `rows` has the line of RECORD for each member, `launchers` the content of each launcher."""

    archive: ZipFile
    name: str
    dist_info: str
    rows: Mapping[str, RecordRow]
    launchers: Mapping[str, bytes]

    @property
    def data(self) -> str:
        return self.dist_info.removesuffix(".dist-info") + ".data/"

    @property
    def record(self) -> str:
        return f"{self.dist_info}/RECORD"


def install(path: Path, layout: Layout) -> InstalledWheel:
    """The files that uv installs from the wheel at `path`. Raises SmokeError for an invalid wheel."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        with open_zip(path) as archive:
            wheel = _open(archive, name, layout)
            return InstalledWheel(name=name, version=str(version), files=_files(wheel, layout), directories=_directories(wheel, layout))
    except (InvalidWheelFilename, BadZipFile, csv.Error) as error:
        raise SmokeError(path.name, f"not a wheel: {error}") from error


def _open(archive: ZipFile, name: str, layout: Layout) -> _Wheel:
    """Reads the RECORD and the entry points, on which the other files depend."""
    sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
    records = [member for member in sizes if re.fullmatch(r"[^/]+\.dist-info/RECORD", member)]
    if len(records) != 1:
        raise BadZipFile(f"expected one .dist-info folder with a RECORD, found {len(records)}")
    dist_info = records[0].removesuffix("/RECORD")
    entry_points = f"{dist_info}/entry_points.txt"
    return _Wheel(
        archive=archive,
        name=name,
        dist_info=dist_info,
        rows=_complete_record(read_member(archive, records[0]).decode(), sizes, dist_info),
        launchers=launchers(read_member(archive, entry_points).decode() if entry_points in sizes else "", layout),
    )


def _files(wheel: _Wheel, layout: Layout) -> tuple[InstalledFile, ...]:
    """All files: members of the archive, launchers, and the RECORD that lists them."""
    files, rows = _members(wheel, layout)
    for script, content in wheel.launchers.items():
        target = f"bin/{script}"
        rows.append(record_row(relpath(target, layout.site_packages), content))
        files.append(InstalledFile(path=target, sha256=_sha256(content), executable=True))
    record = InstalledFile(path=f"{layout.site_packages}/{wheel.record}", sha256=_sha256(render_record(rows)), executable=False)
    return (*files, record)


def _members(wheel: _Wheel, layout: Layout) -> tuple[list[InstalledFile], list[RecordRow]]:
    """The files from the archive, except for RECORD, and RECORD's lines for them after installation."""
    files: list[InstalledFile] = []
    rows = dict(wheel.rows)
    for info in wheel.archive.infolist():
        target = None if info.is_dir() or info.filename == wheel.record else _target(info.filename, wheel, layout)
        if target is None:
            continue
        row = wheel.rows.get(info.filename)
        script = info.filename.startswith(f"{wheel.data}scripts/")
        content = with_shebang(read_member(wheel.archive, info.filename), layout) if script else None
        recorded = row.sha256 if row is not None and content is None else None
        sha256 = recorded or _sha256(read_member(wheel.archive, info.filename) if content is None else content)
        executable = script or bool(info.external_attr >> 16 & 0o111)
        files.append(InstalledFile(path=target, sha256=sha256, executable=executable))
        if row is not None and info.filename.startswith(wheel.data):
            moved = relpath(target, layout.site_packages)
            rows[info.filename] = replace(row, path=moved) if content is None else record_row(moved, content)
    return files, list(rows.values())


def _directories(wheel: _Wheel, layout: Layout) -> tuple[str, ...]:
    members = (info.filename for info in wheel.archive.infolist() if info.is_dir())
    targets = (_target(member, wheel, layout) for member in members)
    return tuple(target.rstrip("/") for target in targets if target)


def _target(member: str, wheel: _Wheel, layout: Layout) -> str | None:
    """The path of a member relative to the prefix, or None if it is not installed."""
    if not member.startswith(wheel.data):
        return f"{layout.site_packages}/{member}"
    scheme, _, rest = member.removeprefix(wheel.data).partition("/")
    folders = {
        "purelib": f"{layout.site_packages}/",
        "platlib": f"{layout.site_packages}/",
        "headers": f"include/site/python{layout.python}/{wheel.name}/",
        "scripts": "bin/",
        "data": "",
    }
    # A launcher replaces a script of the same name.
    if not rest or (scheme == "scripts" and re.sub(r"(\.exe|-script\.py|\.pya)$", "", rest) in wheel.launchers):
        return None
    if scheme not in folders:
        raise BadZipFile(f"unexpected {wheel.data}{scheme} (expected one of {', '.join(folders)})")
    return folders[scheme] + rest


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One line of a RECORD; `digest` is as written there, such as "sha256=…", or empty."""

    path: str
    digest: str
    size: int | None

    @property
    def sha256(self) -> str | None:
        """The digest in hexadecimal, or None if the line has no sha256."""
        algorithm, _, value = self.digest.partition("=")
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex() if algorithm == "sha256" else None


def record_row(path: str, content: bytes) -> RecordRow:
    """RECORD's line for a file with this content."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return RecordRow(path=path, digest=f"sha256={digest}", size=len(content))


def _complete_record(record: str, sizes: Mapping[str, int], dist_info: str) -> dict[str, RecordRow]:
    """The lines by member, as corrected by uv: one for each member of `sizes`, the first if there are several."""
    recorded: dict[str, RecordRow] = {}
    for row in _read_record(record):
        recorded.setdefault(normpath(row.path), row)
    unrecorded = {f"{dist_info}/RECORD.jws", f"{dist_info}/RECORD.p7s"}
    return {
        member: recorded.get(member) or RecordRow(path=member, digest="", size=size)
        for member, size in sizes.items()
        if member in recorded or member not in unrecorded
    }


def render_record(rows: Iterable[RecordRow]) -> bytes:
    """The text of a RECORD as uv writes it: sorted by the bytes of path, digest and size."""
    ordered = sorted(rows, key=lambda row: (row.path.encode(), row.digest, -1 if row.size is None else row.size))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((row.path, row.digest, "" if row.size is None else row.size) for row in ordered)
    return text.getvalue().encode()


def _read_record(text: str) -> Iterator[RecordRow]:
    for path, digest, size in csv.reader(io.StringIO(text, newline="")):
        yield RecordRow(path=path.lstrip("/"), digest=digest, size=int(size) if size else None)
