"""The wheel store: content-addressed, verified on the way in and on the way out, shared by all profiles and processes.

<cache>/wheels/<sha256>/<file name>       a whole, verified wheel
<cache>/wheels/<sha256>/METADATA          its core metadata, read from it once, under its own digest
<cache>/wheels/<sha256>/RECORD            its RECORD, likewise
<cache>/wheels/<sha256>/SIZE              its size in bytes, where the index does not say and its server was asked
<cache>/wheels/.partial/                  what is on its way; nothing in here is ever taken for whole
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from zipfile import BadZipFile

from envgen.core.errors import DiskFullError, VerificationError
from envgen.core.files import flush_to_disk, locked, read_checked, sha256_of, with_digest, write_hashed
from envgen.core.parallel import map_parallel
from envgen.core.tempdirs import is_full, temp_dir
from envgen.core.text import human_size
from envgen.core.unwritable import cache_cure
from envgen.core.zips import open_zip, read_member
from envgen.sources.wheel import Wheel

SPARE = 16 << 20
"""Bytes that stay free beside what is asked for."""

CACHE_ROOM = "make room, or set ENVGEN_CACHE to a folder on a larger disk"

_ARRIVING = "wheel"
"""What a wheel is called until it is whole: its own name is what somebody says."""


class WheelStore:
    """The store in one folder; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str, file: str) -> Path:
        """Where the wheel is, or would be."""
        return self.root / sha256 / file

    def files(self, sha256: str) -> tuple[Path, ...]:
        """The wheels with this hash, by whatever name: mostly one, or none."""
        return tuple(sorted((self.root / sha256).glob("*.whl"))) if sha256 else ()

    def missing(self, wheels: Sequence[Wheel]) -> tuple[Wheel, ...]:
        """Those of `wheels` that would have to be fetched."""
        return tuple(wheel for wheel in wheels if not self.path(wheel.sha256, wheel.file).is_file())

    def add(self, file: str, sha256: str | None, write: Callable[[BinaryIO], str]) -> tuple[Path, str]:
        """The path and sha256 of the wheel `file`, which `write` brings unless it is here: into a stream, and gives its sha256 (hex).

        Without a `sha256` the file is taken at its word, as long as `write` does. Raises VerificationError for another one, and
        DiskFullError.
        """
        if sha256 and self.path(sha256, file).is_file():
            return self.path(sha256, file), sha256
        # One process fetches a wheel, the others wait for it.
        with self._disk_errors(), self._locked(sha256 or file):
            if sha256 and self.path(sha256, file).is_file():
                return self.path(sha256, file), sha256
            with temp_dir("wheel", self._partial()) as folder:
                with (folder / _ARRIVING).open("wb") as stream:
                    found = write(stream)
                    flush_to_disk(stream)
                if sha256 and found != sha256:
                    raise VerificationError(file, f"found sha256 {found}, expected {sha256}")
                return self._keep(folder / _ARRIVING, file, found), found

    def add_from_stream(self, file: str, sha256: str, content: Iterable[bytes]) -> bool:
        """Keeps the wheel `file`, which comes as pieces of `content`; False where it was here before, and stays as it was.

        The content is read to its end either way. Raises VerificationError when it is another one, and DiskFullError.
        """
        with self._disk_errors(), self._locked(sha256), temp_dir("wheel", self._partial()) as folder:
            here = self.path(sha256, file).is_file()
            with (Path(os.devnull) if here else folder / _ARRIVING).open("wb") as stream:
                found = write_hashed(content, stream)
                if not here:
                    flush_to_disk(stream)
            if found != sha256:
                raise VerificationError(file, f"found sha256 {found}, expected {sha256}")
            if not here:
                self._keep(folder / _ARRIVING, file, sha256)
        return not here

    def _locked(self, name: str) -> AbstractContextManager[None]:
        """Keeps all others from what has this name. Raises OSError."""
        return locked(self._partial() / f"{name}.lock")

    def _partial(self) -> Path:
        """The folder for what is on its way. Raises OSError."""
        folder = self.root / ".partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Makes a DiskFullError of each OSError."""
        try:
            yield
        except OSError as error:
            raise disk_error(error, self.root) from error

    def _keep(self, arrived: Path, filename: str, sha256: str) -> Path:
        path = self.path(sha256, filename)
        path.parent.mkdir(exist_ok=True)
        arrived.chmod(0o644)
        arrived.replace(path)
        return path

    def verify(self, wheels: Sequence[Wheel]) -> None:
        """Reads all of `wheels` again; one that is damaged is taken out of the store.

        Raises VerificationError, also for a wheel that is not here.
        """
        map_parallel(lambda wheel: self.check(self.path(wheel.sha256, wheel.file), wheel.sha256), wheels, at_once=4)

    def check(self, path: Path, sha256: str) -> None:
        """As `verify`, for the wheel at a path in the store."""
        if not path.is_file():
            raise VerificationError(str(path), "missing in the wheel store", hint="run: envgen build PROFILE")
        found = sha256_of(path)
        if found != sha256:
            path.unlink()
            problem = f"found sha256 {found}, expected {sha256}: damaged, and taken out of the store"
            raise VerificationError(str(path), problem, hint="run the command again to fetch it anew")

    @contextmanager
    def linked_dirs(self, groups: dict[str, Sequence[Wheel]]) -> Iterator[dict[str, Path]]:
        """A folder for each group with its verified wheels in it, for as long as the context lasts.

        They are hard links, so that lending gigabytes costs nothing. Raises VerificationError.
        """
        with ExitStack() as stack:
            with self._disk_errors():
                view = stack.enter_context(temp_dir("view", self._partial()))
                self.verify([wheel for wheels in groups.values() for wheel in wheels])
                for group, wheels in groups.items():
                    (view / group).mkdir()
                    for wheel in wheels:
                        os.link(self.path(wheel.sha256, wheel.file), view / group / wheel.file)
            yield {group: view / group for group in groups}

    def size(self, sha256: str) -> int | None:
        """The size in bytes of a wheel whose server was asked for it, None where none was."""
        text = read_checked(self.root / sha256 / "SIZE")
        return int(text) if text else None

    def keep_size(self, sha256: str, size: int) -> None:
        self._keep_bytes(self.root / sha256 / "SIZE", b"%d" % size)

    def metadata(self, sha256: str) -> bytes | None:
        """The core metadata of a wheel that was asked for it, None where none was."""
        return read_checked(self.root / sha256 / "METADATA")

    def keep_metadata(self, sha256: str, content: bytes) -> None:
        self._keep_bytes(self.root / sha256 / "METADATA", content)

    def record(self, sha256: str) -> bytes | None:
        """The RECORD of a wheel that was asked for it, None where none was."""
        return read_checked(self.root / sha256 / "RECORD")

    def keep_record(self, sha256: str, content: bytes) -> None:
        self._keep_bytes(self.root / sha256 / "RECORD", content)

    def metadata_of(self, wheel: Wheel) -> bytes:
        """The core metadata of a wheel that is in the store."""
        return read_metadata(self.path(wheel.sha256, wheel.file))

    def _keep_bytes(self, path: Path, content: bytes) -> None:
        """Writes a small file whole; `path` is in the folder of a wheel."""
        with self._disk_errors(), temp_dir("file", self._partial()) as folder:
            (folder / path.name).write_bytes(with_digest(content))
            path.parent.mkdir(exist_ok=True)
            (folder / path.name).replace(path)


def check_space(folder: Path, needed: int, what: str, cure: str = CACHE_ROOM) -> None:
    """Raises DiskFullError, with the `cure`, unless `needed` bytes, and a little more, are free where `folder` is or will be."""
    existing, free = free_space(folder)
    wanted = needed + SPARE
    if needed and free < wanted:
        found, expected = human_size(free, "MB"), human_size(wanted, "MB")
        raise DiskFullError(str(existing), f"{found} free, expected at least {expected} for {what}", hint=cure)


def free_space(folder: Path) -> tuple[Path, int]:
    """The folder that is there where `folder` is or will be, and the bytes that are free in it."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing, shutil.disk_usage(existing).free


def read_metadata(wheel: Path) -> bytes:
    """The core metadata in the wheel at a path. Raises VerificationError for one that has none."""
    return read_dist_info(wheel, "METADATA", str(wheel))


def read_dist_info(wheel: Path | IO[bytes], name: str, label: str) -> bytes:
    """The file `name` in the wheel's .dist-info. Raises VerificationError, which calls the wheel `label`, where there is none."""
    try:
        with open_zip(wheel) as archive:
            # Only the one at the top: a vendored wheel may lie deeper.
            path = next((path for path in archive.namelist() if path.endswith(f".dist-info/{name}") and path.count("/") == 1), "")
            return read_member(archive, path)
    except BadZipFile as error:
        raise VerificationError(label, f"not a wheel: no {name} in it that can be read: {error}") from error


def disk_error(error: OSError, root: Path, store: str = "the wheel store") -> DiskFullError:
    """What to raise when `store`, in the folder `root`, could not be written."""
    if is_full(error):
        return DiskFullError(str(root), "the disk is full; what was being written is removed", hint=CACHE_ROOM)
    return DiskFullError(str(root), f"{store} can't be written: {error.strerror or error}", hint=cache_cure(error, CACHE_ROOM))
