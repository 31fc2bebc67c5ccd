"""The model store: cached hub models by commit, and folders of files verified against a list of hashes.

<cache>/models/hub/<organisation>--<name>/<commit>/           a complete model
<cache>/models/hub/<organisation>--<name>/<commit>.sha256     its files, as sha256sum writes and checks them
<cache>/models/hub/<organisation>--<name>/.partial/<commit>/  a partial download; each file is verified again before use
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from envgen.core.errors import VerificationError
from envgen.core.files import flush_to_disk, locked, sha256_of, write_hashed
from envgen.core.parallel import map_parallel
from envgen.core.progress import Advance, Reporter
from envgen.sources.hub import Hub
from envgen.sources.models import HubFile, HubName, LockedModelFiles, read_listing
from envgen.sources.wheel_store import check_space, disk_error


class ModelStore:
    """A store in one folder, safe for concurrent processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, repo: str, commit: str) -> Path:
        """The path of the model, which may not exist."""
        return self.root / "hub" / repo.replace("/", "--") / commit

    def cached(self, name: HubName) -> LockedModelFiles | None:
        """The cached model as it was downloaded, or None if it is incomplete; the revision of `name` is a commit."""
        folder = self.folder(name.repo, name.revision)
        digests = cached_listing(folder)
        if digests is None:
            return None
        files = (HubFile(name=file, sha256=sha256, size=_size(folder / file)) for file, sha256 in digests.items())
        return LockedModelFiles(repo=name.repo, commit=name.revision, files=tuple(files))

    def fetch(self, repository: LockedModelFiles, hub: Hub, reporter: Reporter) -> None:
        """Download the model unless it is cached, verifying each file by sha256.

        Raises VerificationError for corrupt content, HubRefusedError, HubUnavailableError, and DiskFullError.
        """
        final = self.folder(repository.repo, repository.commit)
        try:
            # One process downloads a model, the others wait.
            with _locked(final):
                if not final.is_dir():
                    with reporter.transfer(f"model: fetching {repository.name}", repository.size) as advance:
                        self._arrive(repository, hub, advance)
                if cached_listing(final) is None:
                    write_listing(final, repository.listing)
        except OSError as error:
            raise disk_error(error, self.root, "the store of models") from error

    def _arrive(self, repository: LockedModelFiles, hub: Hub, advance: Advance) -> None:
        final = self.folder(repository.repo, repository.commit)
        arriving = _partial(final)
        arriving.mkdir(exist_ok=True)
        digests = {file.name: file.sha256 for file in repository.files}
        for name, _ in faults(arriving, digests):
            _remove(arriving / name)  # left by a killed process, or corrupt before
        missing = [file for file in repository.files if not (arriving / file.name).exists()]
        check_space(self.root, sum(file.size for file in missing), "the model's files")

        def fetch_one(file: HubFile) -> None:
            part = arriving / f"{file.name}.part"
            try:
                with part.open("wb") as stream:
                    hub.receive(repository, file, stream, advance)
                    flush_to_disk(stream)
                part.chmod(0o644)
                part.replace(arriving / file.name)
            finally:
                part.unlink(missing_ok=True)

        map_parallel(fetch_one, missing, at_once=4)
        write_listing(final, repository.listing)
        arriving.chmod(0o755)
        arriving.replace(final)

    def add_from_stream(self, repository: LockedModelFiles, content: Callable[[HubFile], Iterable[bytes]]) -> bool:
        """Cache a model from streams; return False if it is cached already, and leave it unchanged.

        All content is read to the end either way. No listing is written: only a lock or the hub decides which files belong to a model,
        not the source of the streams. Raises VerificationError if a sha256 differs, and DiskFullError.
        """
        final = self.folder(repository.repo, repository.commit)
        if final.is_dir() and not all(
            (final / name).is_file() for name in cached_listing(final) or (file.name for file in repository.files)
        ):
            self._take_out(final)
        with create_once(final) as folder:
            for file in repository.files:
                with (folder / file.name if folder else Path(os.devnull)).open("wb") as stream:
                    sha256 = write_hashed(content(file), stream)
                    if sha256 != file.sha256:
                        problem = f"found sha256 {sha256}, expected {file.sha256}"
                        raise VerificationError(f"{repository.name}: {file.name}", problem)
                    if folder:
                        flush_to_disk(stream)
                        (folder / file.name).chmod(0o644)
        return folder is not None

    def verify(self, repository: LockedModelFiles) -> Path:
        """Read the whole model again and return its folder; a corrupt model is removed from the store.

        Raises VerificationError, also if it is missing.
        """
        folder = self.folder(repository.repo, repository.commit)
        check_folder(folder, {file.name: file.sha256 for file in repository.files}, self._take_out)
        return folder

    def _take_out(self, folder: Path) -> None:
        """Move the model to the partial downloads, where the next fetch reuses its intact files."""
        try:
            with _locked(folder):
                if folder.is_dir():  # unless another process was faster
                    _remove(_partial(folder))
                    folder.rename(_partial(folder))
        except OSError as error:
            raise disk_error(error, self.root, "the store of models") from error


def check_folder(folder: Path, digests: Mapping[str, str], take_out: Callable[[Path], None]) -> None:
    """Verify `folder` against `digests` (sha256 in hex, by path); call `take_out` on any difference.

    Raises VerificationError for the first corrupt, missing or unexpected file, or a missing folder.
    """
    if not folder.is_dir():
        raise VerificationError(str(folder), "missing in the store of models", hint="fetch it: envgen fetch PROFILE")
    for name, problem in faults(folder, digests):
        take_out(folder)
        hint = "run the command again to fetch it anew"
        raise VerificationError(str(folder / name), f"{problem}: changed since it came, and taken out of the store", hint=hint)


def faults(folder: Path, digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the differences of `folder` from `digests` (sha256 in hex, by path): the path and the problem.

    Unexpected files count, as they can change how a model loads.
    """
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for name in paths:
        if name not in digests:
            yield name, "found a file that is not among the model's"
    for name, expected in digests.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            yield name, f"found no file, expected sha256 {expected}"
        elif (actual := _sha256(path)) != expected:
            yield name, f"found sha256 {actual}, expected {expected}"


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        return f"none ({error.strerror})"


def listing_path(folder: Path) -> Path:
    """The path of a folder's listing, which is next to it."""
    return folder.with_name(f"{folder.name}.sha256")


def cached_listing(folder: Path) -> dict[str, str] | None:
    """The sha256 (hex) of each file of a folder as downloaded; None without a valid listing, so it must be fetched again."""
    try:
        return read_listing(listing_path(folder).read_bytes()) or None if folder.is_dir() else None
    except (OSError, ValueError):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def write_listing(folder: Path, listing: bytes) -> None:
    """Write a folder's listing atomically. Raises OSError."""
    path = listing_path(folder)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(listing)
    part.replace(path)


def _partial(folder: Path) -> Path:
    return folder.parent / ".partial" / folder.name


@contextmanager
def create_once(final: Path) -> Iterator[Path | None]:
    """Yield a folder to fill, which becomes `final` on success and is removed on failure; None if `final` exists.

    One process creates it, the others wait. Raises DiskFullError, also if it can't be created.
    """
    try:
        with _locked(final):
            if final.is_dir():
                yield None
                return
            folder = _partial(final)
            _remove(folder)
            folder.mkdir()
            # An image's user, which is not ours, may write to it.
            folder.chmod(0o777)
            try:
                yield folder
                folder.chmod(0o755)
                folder.replace(final)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise disk_error(error, final.parent, "the store of models") from error


def _locked(folder: Path) -> AbstractContextManager[None]:
    """Lock a folder against other processes and threads. Raises OSError."""
    partial = _partial(folder)
    return locked(partial.with_name(f"{partial.name}.lock"))


def _remove(path: Path) -> None:
    """Remove a file or folder if it exists. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
