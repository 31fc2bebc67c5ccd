"""The wheel store: content-addressed, verified on the way in and on the way out, shared by all profiles and processes.

<cache>/wheels/<sha256>/<file name>       a whole, verified wheel
<cache>/wheels/<sha256>/METADATA          its core metadata, read from it once, under its own digest
<cache>/wheels/<sha256>/SIZE              its size in bytes, where the index does not say and its server was asked
<cache>/wheels/.partial/                  what is on its way; nothing in here is ever taken for whole
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

from envgen.core.errors import DiskFullError, ResolutionError, VerificationError
from envgen.core.parallel import map_parallel
from envgen.core.sealed import read_checked, with_digest
from envgen.core.tempdirs import is_full, temp_dir
from envgen.core.zips import open_zip, read_member
from envgen.sources.download import Advance, receive
from envgen.sources.index import IndexClient
from envgen.sources.index_pages import IndexFile
from envgen.sources.wheel import Wheel

SPARE = 16 << 20
"""Bytes that stay free beside what is asked for."""

CACHE_ROOM = "make room, or set ENVGEN_CACHE to a folder on a larger disk"

_ARRIVING = "wheel"
"""What a wheel is called until it is whole: its own name is what somebody says."""


class WheelStore:
    """The store in one folder; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: str, file: str) -> Path:
        """Where the wheel is, or would be."""
        return self._root / sha256 / file

    def files(self, sha256: str) -> tuple[Path, ...]:
        """The wheels with this hash, by whatever name: mostly one, or none."""
        return tuple(sorted((self._root / sha256).glob("*.whl"))) if sha256 else ()

    def missing(self, wheels: Sequence[Wheel]) -> tuple[Wheel, ...]:
        """Those of `wheels` that would have to be fetched."""
        return tuple(wheel for wheel in wheels if not self.path(wheel.sha256, wheel.file).is_file())

    def fetch(self, wheels: Sequence[Wheel], client: IndexClient, advance: Advance = lambda _count: None) -> None:
        """Fetches what is missing of `wheels`, several at a time, each verified by its sha256.

        Raises VerificationError for wrong content, ResolutionError when an index has the wheel no more,
        IndexUnavailableError when it does not answer, and DiskFullError.
        """
        missing = self.missing(wheels)
        check_space(self._root, sum(wheel.size for wheel in missing), "the wheels that are missing in the store")
        map_parallel(lambda wheel: self._fetch_one(wheel, client, advance), missing, at_once=4)

    def _fetch_one(self, wheel: Wheel, client: IndexClient, advance: Advance) -> None:
        found = [file for file in client.files(wheel.index, wheel.name) if file.filename == wheel.file]
        if not found:
            where = f"index {wheel.index} ({client.location(wheel.index)})"
            raise ResolutionError(where, f"{wheel.file} is not there any more", hint="lock again: envgen lock PROFILE")
        self.add(replace(found[0], size=wheel.size), wheel.index, wheel.sha256, client, advance)

    def add(
        self, file: IndexFile, index: str, sha256: str, client: IndexClient, advance: Advance = lambda _count: None
    ) -> tuple[Path, str]:
        """The path and sha256 of `file`, fetched unless it is here; an empty `sha256` takes the file at its word.

        The latter is for an index that publishes no digests, while locking. Raises as `fetch` does.
        """
        if sha256 and self.path(sha256, file.filename).is_file():
            return self.path(sha256, file.filename), sha256
        # One process fetches a wheel, the others wait for it.
        with self._disk_errors(), self._locked(sha256 or file.filename):
            if sha256 and self.path(sha256, file.filename).is_file():
                return self.path(sha256, file.filename), sha256
            return self._arrive(file, index, sha256, client, advance)

    def _arrive(self, file: IndexFile, index: str, sha256: str, client: IndexClient, advance: Advance) -> tuple[Path, str]:
        with temp_dir("wheel", self._partial()) as folder:
            arriving = folder / _ARRIVING
            with arriving.open("wb") as stream:
                found = receive(file, index, client, stream, advance)
                stream.flush()
                os.fsync(stream.fileno())
            if sha256 and found != sha256:
                raise VerificationError(
                    file.filename, f"found sha256 {found}, expected {sha256}",
                    hint=f"the index {index} or its mirror serves another file than the one that was locked",
                )  # fmt: skip
            return self._keep(arriving, file.filename, found), found

    def add_from_stream(self, file: str, sha256: str, content: Iterable[bytes]) -> bool:
        """Keeps the wheel `file`, which comes as pieces of `content`; False where it was here before, and stays as it was.

        The content is read to its end either way. Raises VerificationError when it is another one, and DiskFullError.
        """
        digest = hashlib.sha256()
        with self._disk_errors(), self._locked(sha256), temp_dir("wheel", self._partial()) as folder:
            here = self.path(sha256, file).is_file()
            with (Path(os.devnull) if here else folder / _ARRIVING).open("wb") as stream:
                for piece in content:
                    digest.update(piece)
                    stream.write(piece)
                if not here:
                    stream.flush()
                    os.fsync(stream.fileno())
            if digest.hexdigest() != sha256:
                raise VerificationError(file, f"found sha256 {digest.hexdigest()}, expected {sha256}")
            if not here:
                self._keep(folder / _ARRIVING, file, sha256)
        return not here

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Keeps all others from what has this name; the kernel lets go of it however we end. Raises OSError."""
        from filelock import FileLock

        with FileLock(self._partial() / f"{name}.lock"):
            yield

    def _partial(self) -> Path:
        """The folder for what is on its way. Raises OSError."""
        folder = self._root / ".partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Makes a DiskFullError of each OSError."""
        try:
            yield
        except OSError as error:
            raise disk_error(error, self._root) from error

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

    def size(self, file: IndexFile, index: str, client: IndexClient) -> int:
        """The size in bytes of the wheel `file` (which has its sha256): as the index says, or its server when first asked."""
        if file.size is not None:
            return file.size
        kept = self._root / file.sha256 / "SIZE"
        if text := read_checked(kept):
            return int(text)
        found = client.size(file, index)
        self._keep_bytes(kept, b"%d" % found)
        return found

    def metadata(self, file: IndexFile, index: str, client: IndexClient) -> bytes:
        """The core metadata of the wheel `file` (which has its sha256): from the store, the index, or the wheel itself."""
        kept = self._root / file.sha256 / "METADATA"
        if (content := read_checked(kept)) is not None:
            return content
        wheel = self.path(file.sha256, file.filename)
        content = None if wheel.is_file() else client.metadata(file, index)
        if content is None:
            folder = client.folder(index)
            if not wheel.is_file():
                # A wheel in a folder is read where it lies: it may have hundreds of megabytes, and is not installed now.
                wheel = folder / file.filename if folder else self.add(file, index, file.sha256, client)[0]
            content = _read_metadata(wheel)
        self._keep_bytes(kept, content)
        return content

    def metadata_of(self, wheel: Wheel) -> bytes:
        """The core metadata of a wheel that is in the store."""
        return _read_metadata(self.path(wheel.sha256, wheel.file))

    def _keep_bytes(self, path: Path, content: bytes) -> None:
        """Writes a small file whole; `path` is in the folder of a wheel."""
        with self._disk_errors(), temp_dir("file", self._partial()) as folder:
            (folder / path.name).write_bytes(with_digest(content))
            path.parent.mkdir(exist_ok=True)
            (folder / path.name).replace(path)


def sha256_of(path: Path) -> str:
    """The sha256 of the file at `path`, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_space(folder: Path, needed: int, what: str, cure: str = CACHE_ROOM) -> None:
    """Raises DiskFullError, with the `cure`, unless `needed` bytes, and a little more, are free where `folder` is or will be."""
    existing, free = free_space(folder)
    wanted = needed + SPARE
    if needed and free < wanted:
        raise DiskFullError(str(existing), f"{human_size(free)} free, expected at least {human_size(wanted)} for {what}", hint=cure)


def free_space(folder: Path) -> tuple[Path, int]:
    """The folder that is there where `folder` is or will be, and the bytes that are free in it."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing, shutil.disk_usage(existing).free


def human_size(count: int) -> str:
    """A number of bytes as messages say it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _read_metadata(wheel: Path) -> bytes:
    try:
        with open_zip(wheel) as archive:
            # Only the one at the top: a vendored wheel may lie deeper.
            name = next((name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1), "")
            return read_member(archive, name)
    except BadZipFile as error:
        raise VerificationError(str(wheel), f"not a wheel: no METADATA in it that can be read: {error}") from error


def disk_error(error: OSError, root: Path, store: str = "the wheel store") -> DiskFullError:
    """What to raise when `store`, in the folder `root`, could not be written."""
    if is_full(error):
        return DiskFullError(str(root), "the disk is full; what was being written is removed", hint=CACHE_ROOM)
    return DiskFullError(str(root), f"{store} can't be written: {error.strerror or error}", hint="set ENVGEN_CACHE")
