"""One image of an OCI archive as an archive of its own: the same bytes each time, and nothing else that the other archive may hold.

An engine writes the names that an image has, and whom it was pulled from, into its archive; and `docker load` gives names to whatever
an archive says.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from envgen.core.errors import DiskFullError, VerificationError
from envgen.core.tempdirs import temp_dir
from envgen.oci.archive import Archive
from envgen.oci.documents import parse_json
from envgen.oci.tars import add_bytes, add_file, write_tar

TEMPORARY_ROOM = "make room, or set TMPDIR to a folder on a larger disk"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for archives of images on their way. Raises DiskFullError."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temp_dir("image"))
        except OSError as error:
            raise DiskFullError(tempfile.gettempdir(), f"can't be written: {error.strerror or error}", hint=TEMPORARY_ROOM) from error
        yield folder


def copy_image(source: Path, digest: str, name: str, target: Path) -> None:
    """Writes the image, or image index, `digest` out of the OCI archive `source` into `target`, under the name `name` (NAME:TAG).

    Raises VerificationError when it is not in there or not what its digests say, DiskFullError when `target` can't be written.
    """
    with Archive(source) as archive:
        try:
            digests = archive.reachable(digest)
            described = _described(archive, digest, name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VerificationError(str(source), f"its image {digest[:19]} is not described as images are: {error!r}") from error
        try:
            with target.open("wb") as stream, write_tar(stream) as tar:
                add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
                index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [described]}
                add_bytes(tar, "index.json", json.dumps(index, sort_keys=True).encode())
                for blob in sorted(digests):
                    content, size = archive.blob(blob)
                    found = add_file(tar, f"blobs/{blob.replace(':', '/', 1)}", content, size)
                    if f"sha256:{found}" != blob:
                        raise VerificationError(str(source), f"its blob {blob[:19]} has sha256 {found}")
        except OSError as error:
            raise DiskFullError(str(target), f"the image can't be written there: {error.strerror or error}", hint=TEMPORARY_ROOM) from error


def _described(archive: Archive, digest: str, name: str) -> dict[str, object]:
    """How an index speaks of the image, with the name that an engine is to give it."""
    stream, size = archive.blob(digest)
    document: Any = parse_json(stream.read())  # `reachable` has read and checked it
    kind = str(document.get("mediaType") or (INDEX_TYPE if "manifests" in document else MANIFEST_TYPE))
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    return {"mediaType": kind, "digest": digest, "size": size, "annotations": names}
