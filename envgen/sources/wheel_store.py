"""The wheel store: content-addressed, verified on write and on use, shared by all profiles and processes.

<cache>/wheels/<sha256>/<file name>       a complete, verified wheel
<cache>/wheels/<sha256>/METADATA          its core metadata, cached with a digest
<cache>/wheels/<sha256>/RECORD            its RECORD, likewise
<cache>/wheels/<sha256>/SIZE              its size in bytes from its server, if the index has none
<cache>/wheels/.partial/                  incomplete downloads, which are never used
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
"""Bytes to leave free on the disk."""

CACHE_ROOM = "make room, or set ENVGEN_CACHE to a folder on a larger disk"

_ARRIVING = "wheel"
"""The name of a wheel until it is complete, as its own name is untrusted."""


class WheelStore:
    """A store in one folder, safe for concurrent processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str, file: str) -> Path:
        """The path of the wheel, which may not exist."""
        return self.root / sha256 / file

    def files(self, sha256: str) -> tuple[Path, ...]:
        """The wheels with this hash under any name, usually one or none."""
        return tuple(sorted((self.root / sha256).glob("*.whl"))) if sha256 else ()

    def missing(self, wheels: Sequence[Wheel]) -> tuple[Wheel, ...]:
        """The ones of `wheels` that are not cached."""
        return tuple(wheel for wheel in wheels if not self.path(wheel.sha256, wheel.file).is_file())

    def add(self, file: str, sha256: str | None, write: Callable[[BinaryIO], str]) -> tuple[Path, str]:
        """Return the path and sha256 of the wheel `file`; if it is not cached, `write` fills a stream and returns its sha256 (hex).

        Without a `sha256` any content is accepted. Raises VerificationError if the sha256 differs, and DiskFullError.
        """
        if sha256 and self.path(sha256, file).is_file():
            return self.path(sha256, file), sha256
        # One process downloads a wheel, the others wait.
        with self._disk_errors(), self._locked(sha256 or file):
            if sha256 and self.path(sha256, file).is_file():
                return self.path(sha256, file), sha256
            with temp_dir("wheel", self._partial()) as folder:
                with (folder / _ARRIVING).open("wb") as stream:
                    digest = write(stream)
                    flush_to_disk(stream)
                if sha256 and digest != sha256:
                    raise VerificationError(file, f"found sha256 {digest}, expected {sha256}")
                return self._keep(folder / _ARRIVING, file, digest), digest

    def add_from_stream(self, file: str, sha256: str, content: Iterable[bytes]) -> bool:
        """Cache the wheel `file` from a stream; return False if it is cached already, and leave it unchanged.

        The content is read to the end either way. Raises VerificationError if its sha256 differs, and DiskFullError.
        """
        with self._disk_errors(), self._locked(sha256), temp_dir("wheel", self._partial()) as folder:
            cached = self.path(sha256, file).is_file()
            with (Path(os.devnull) if cached else folder / _ARRIVING).open("wb") as stream:
                digest = write_hashed(content, stream)
                if not cached:
                    flush_to_disk(stream)
            if digest != sha256:
                raise VerificationError(file, f"found sha256 {digest}, expected {sha256}")
            if not cached:
                self._keep(folder / _ARRIVING, file, sha256)
        return not cached

    def _locked(self, name: str) -> AbstractContextManager[None]:
        """Lock `name` against other processes and threads. Raises OSError."""
        return locked(self._partial() / f"{name}.lock")

    def _partial(self) -> Path:
        """The folder for incomplete downloads, created if necessary. Raises OSError."""
        folder = self.root / ".partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Convert OSError to DiskFullError."""
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
        """Read all of `wheels` again; a corrupt one is removed from the store.

        Raises VerificationError, also if one is missing.
        """
        map_parallel(lambda wheel: self.check(self.path(wheel.sha256, wheel.file), wheel.sha256), wheels, at_once=4)

    def check(self, path: Path, sha256: str) -> None:
        """Verify the wheel at a path in the store, as `verify` does."""
        if not path.is_file():
            raise VerificationError(str(path), "missing in the wheel store", hint="run: envgen build PROFILE")
        digest = sha256_of(path)
        if digest != sha256:
            path.unlink()
            problem = f"found sha256 {digest}, expected {sha256}: damaged, and taken out of the store"
            raise VerificationError(str(path), problem, hint="run the command again to fetch it anew")

    @contextmanager
    def linked_dirs(self, groups: dict[str, Sequence[Wheel]]) -> Iterator[dict[str, Path]]:
        """Yield a temporary folder for each group, with its verified wheels.

        The wheels are hard links, which avoids copying gigabytes. Raises VerificationError.
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
        """The cached size of a wheel in bytes, or None."""
        text = read_checked(self.root / sha256 / "SIZE")
        return int(text) if text else None

    def keep_size(self, sha256: str, size: int) -> None:
        self._keep_bytes(self.root / sha256 / "SIZE", b"%d" % size)

    def metadata(self, sha256: str) -> bytes | None:
        """The cached core metadata of a wheel, or None."""
        return read_checked(self.root / sha256 / "METADATA")

    def keep_metadata(self, sha256: str, content: bytes) -> None:
        self._keep_bytes(self.root / sha256 / "METADATA", content)

    def record(self, sha256: str) -> bytes | None:
        """The cached RECORD of a wheel, or None."""
        return read_checked(self.root / sha256 / "RECORD")

    def keep_record(self, sha256: str, content: bytes) -> None:
        self._keep_bytes(self.root / sha256 / "RECORD", content)

    def metadata_of(self, wheel: Wheel) -> bytes:
        """Read the core metadata of a wheel in the store."""
        return read_metadata(self.path(wheel.sha256, wheel.file))

    def _keep_bytes(self, path: Path, content: bytes) -> None:
        """Write a small file in a wheel's folder atomically."""
        with self._disk_errors(), temp_dir("file", self._partial()) as folder:
            (folder / path.name).write_bytes(with_digest(content))
            path.parent.mkdir(exist_ok=True)
            (folder / path.name).replace(path)


def check_space(folder: Path, needed: int, what: str, cure: str = CACHE_ROOM) -> None:
    """Raise DiskFullError, with `cure` as its hint, unless `needed` bytes and some spare are free for `folder`."""
    existing, free = free_space(folder)
    required = needed + SPARE
    if needed and free < required:
        available, expected = human_size(free, "MB"), human_size(required, "MB")
        raise DiskFullError(str(existing), f"{available} free, expected at least {expected} for {what}", hint=cure)


def free_space(folder: Path) -> tuple[Path, int]:
    """The nearest existing parent of `folder`, or itself, and the free bytes there."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing, shutil.disk_usage(existing).free


def read_metadata(wheel: Path) -> bytes:
    """Read the core metadata of the wheel at a path. Raises VerificationError if it has none."""
    return read_dist_info(wheel, "METADATA", str(wheel))


def read_dist_info(wheel: Path | IO[bytes], name: str, label: str) -> bytes:
    """Read the file `name` in the wheel's .dist-info. Raises VerificationError, with the wheel's `label`, if it is missing."""
    try:
        with open_zip(wheel) as archive:
            # Only at the top level: vendored wheels may have one deeper.
            path = next((path for path in archive.namelist() if path.endswith(f".dist-info/{name}") and path.count("/") == 1), "")
            return read_member(archive, path)
    except BadZipFile as error:
        raise VerificationError(label, f"not a wheel: no {name} in it that can be read: {error}") from error


def disk_error(error: OSError, root: Path, store: str = "the wheel store") -> DiskFullError:
    """The error for a failed write to `store`, in the folder `root`."""
    if is_full(error):
        return DiskFullError(str(root), "the disk is full; what was being written is removed", hint=CACHE_ROOM)
    return DiskFullError(str(root), f"{store} can't be written: {error.strerror or error}", hint=cache_cure(error, CACHE_ROOM))
