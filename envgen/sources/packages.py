"""Files of packages, from the cache or the indexes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, BinaryIO, cast

from envgen.core.errors import VerificationError
from envgen.core.parallel import map_parallel
from envgen.core.progress import Advance
from envgen.sources.index import IndexClient
from envgen.sources.index_pages import IndexFile
from envgen.sources.remote_zip import NoRangesError, RemoteFile
from envgen.sources.wheel import Wheel
from envgen.sources.wheel_store import WheelStore, check_space, read_dist_info, read_metadata

LARGEST_FOR_RECORD = 20_000_000
"""The largest wheel, in bytes, to download just for its RECORD if its server supports no ranges."""


def _unseen(_count: int) -> None:
    """Ignore progress."""


class Packages:
    """The packages on the indexes of one run, with the store that caches their files; thread-safe."""

    def __init__(self, client: IndexClient, store: WheelStore) -> None:
        self.client = client
        self.store = store

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        """List all files of `package` (normalised) in `index`. Raises IndexUnavailableError."""
        return self.client.files(index, package)

    def size(self, file: IndexFile) -> int:
        """The size of the wheel `file` in bytes, from the index, the store or its server. Raises as `IndexClient.size` does."""
        if file.size is not None or file.sha256 is None:
            return self.client.size(file)
        size = self.store.size(file.sha256)
        if size is None:
            size = self.client.size(file)
            self.store.keep_size(file.sha256, size)
        return size

    def metadata(self, file: IndexFile) -> bytes:
        """The core metadata of the wheel `file`, from the store, the index or, as a last resort, the wheel itself.

        Raises VerificationError if it has none, and as `fetch` does.
        """
        if file.sha256 is None:
            return self.client.metadata(file) or self._of_wheel(*self.add(file, None))
        content = self.store.metadata(file.sha256)
        if content is not None:
            return content
        if not self.store.path(file.sha256, file.filename).is_file():
            content = self.client.metadata(file)
        if content is None:
            content = self._dist_info(file, file.sha256, "METADATA", None)
            assert content is not None
        self.store.keep_metadata(file.sha256, content)
        return content

    def _of_wheel(self, wheel: Path, sha256: str) -> bytes:
        content = read_metadata(wheel)
        self.store.keep_metadata(sha256, content)
        return content

    def record(self, file: IndexFile) -> bytes | None:
        """The RECORD of the wheel `file`, which has a sha256, from the store, the wheel, or its server by ranges.

        None if the server supports no ranges and the wheel is too large to download just for this. Raises VerificationError if it has
        none, and as `fetch` does.
        """
        assert file.sha256 is not None
        content = self.store.record(file.sha256)
        if content is None:
            content = self._dist_info(file, file.sha256, "RECORD", LARGEST_FOR_RECORD)
        if content is not None:
            self.store.keep_record(file.sha256, content)
        return content

    def _dist_info(self, file: IndexFile, sha256: str, name: str, largest: int | None) -> bytes | None:
        """Read the file `name` in the .dist-info of the wheel `file`: locally, by ranges, or by downloading the wheel.

        None if the server supports no ranges and the wheel exceeds `largest` bytes. Raises VerificationError, and as `fetch` does.
        """
        wheel, folder = self.store.path(sha256, file.filename), self.client.folder(file.index)
        if not wheel.is_file() and folder:
            # Read a wheel in a folder in place: it may be large, and copying it to the store is not needed yet.
            wheel = folder / file.filename
        if not wheel.is_file():
            size = self.size(file)
            try:
                return read_dist_info(cast(IO[bytes], RemoteFile(self.client, file, size)), name, file.filename)
            except NoRangesError:
                if largest is not None and size > largest:
                    return None
            wheel = self.add(file, sha256)[0]
        return read_dist_info(wheel, name, file.filename)

    def sha256(self, file: IndexFile) -> str:
        """The sha256 (hex) of `file`, which is downloaded if the index publishes none. Raises as `fetch` does."""
        return file.sha256 or self.add(file, None)[1]

    def add(self, file: IndexFile, sha256: str | None, advance: Advance = _unseen) -> tuple[Path, str]:
        """Return the path and sha256 of `file` in the store, downloading it if necessary.

        Without a `sha256` any content is accepted, for locking from an index that publishes no digests. Raises as `fetch` does.
        """

        def write(stream: BinaryIO) -> str:
            digest = self.client.receive(replace(file, sha256=sha256) if sha256 else file, stream, advance)
            if sha256 and digest != sha256:
                raise VerificationError(
                    file.filename, f"found sha256 {digest}, expected {sha256}",
                    hint=f"the index {file.index} or its mirror serves another file than the one that was locked",
                )  # fmt: skip
            return digest

        return self.store.add(file.filename, sha256, write)

    def fetch(self, wheels: Sequence[Wheel], advance: Advance = _unseen) -> None:
        """Download the missing ones of `wheels` in parallel, verifying each by sha256.

        Raises VerificationError for corrupt content, ResolutionError if an index no longer has a wheel,
        IndexUnavailableError if it does not answer, and DiskFullError.
        """

        def fetch_one(wheel: Wheel) -> None:
            self.add(replace(self.client.find(wheel), size=wheel.size), wheel.sha256, advance)

        missing = self.store.missing(wheels)
        check_space(self.store.root, sum(wheel.size for wheel in missing), "the wheels that are missing in the store")
        map_parallel(fetch_one, missing, at_once=4)
