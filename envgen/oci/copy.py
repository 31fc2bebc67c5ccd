"""Copies one image of an OCI archive into an archive of its own, with the same bytes each time and nothing else from the original.

An engine's archive includes the image's names and the registry it was pulled from, and `docker load` applies whatever names an archive
has.
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
    """A temporary folder for image archives. Raises DiskFullError."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temp_dir("image"))
        except OSError as error:
            raise DiskFullError(tempfile.gettempdir(), f"can't be written: {error.strerror or error}", hint=TEMPORARY_ROOM) from error
        yield folder


def copy_image(source: Path, digest: str, name: str, target: Path) -> None:
    """Copies the image or image index `digest` from the OCI archive `source` to the archive `target`, named `name` (NAME:TAG).

    Raises VerificationError if it is missing or does not match its digests, DiskFullError if `target` can't be written.
    """
    with Archive(source) as archive:
        try:
            digests = archive.reachable(digest)
            described = _described(archive, digest, name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VerificationError(str(source), f"the manifest of its image {digest[:19]} is malformed: {error!r}") from error
        try:
            with target.open("wb") as stream, write_tar(stream) as tar:
                add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
                index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [described]}
                add_bytes(tar, "index.json", json.dumps(index, sort_keys=True).encode())
                for blob in sorted(digests):
                    content, size = archive.blob(blob)
                    sha256 = add_file(tar, f"blobs/{blob.replace(':', '/', 1)}", content, size)
                    if f"sha256:{sha256}" != blob:
                        raise VerificationError(str(source), f"its blob {blob[:19]} has sha256 {sha256}")
        except OSError as error:
            raise DiskFullError(str(target), f"the image can't be written there: {error.strerror or error}", hint=TEMPORARY_ROOM) from error


def _described(archive: Archive, digest: str, name: str) -> dict[str, object]:
    """The image's entry in an index, with the name for the engine to give it."""
    stream, size = archive.blob(digest)
    document: Any = parse_json(stream.read())  # `reachable` has read and checked it
    kind = str(document.get("mediaType") or (INDEX_TYPE if "manifests" in document else MANIFEST_TYPE))
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    return {"mediaType": kind, "digest": digest, "size": size, "annotations": names}
