"""A root file system as an image that has the same digest each time.

`docker import` would do, but it writes the hour into the image, so that no two machines had the same base.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import BinaryIO

CREATED = "1980-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK = 1 << 20


class Hashing(io.RawIOBase):
    """A file that knows the sha256 and the size of what was written to it."""

    def __init__(self, target: BinaryIO) -> None:
        """Write on to `target`."""
        super().__init__()
        self.target = target
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is written to."""
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # the buffer type has no name before Python 3.12
        """Pass data on."""
        self.sha256.update(data)
        self.size += len(data)
        return self.target.write(data)


def compress(source: Path, target: Path) -> tuple[dict[str, object], str]:
    """Compress a layer: its descriptor, and the digest of what is inside. No name and no time go into the file."""
    plain = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        hashing = Hashing(writing)
        # Level 1: it is read once, on this machine.
        with gzip.GzipFile(filename="", fileobj=hashing, mode="wb", compresslevel=1, mtime=0) as packing:
            while chunk := reading.read(CHUNK):
                plain.update(chunk)
                packing.write(chunk)
    layer = descriptor("layer.v1.tar+gzip", hashing.sha256.hexdigest(), hashing.size)
    return layer, f"sha256:{plain.hexdigest()}"


def descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    """How one blob of an image refers to another."""
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": size}


def write_image(root: Path, target: Path, *, name: str, machine: str, settings: dict[str, object]) -> str:
    """Write an OCI archive that `docker load` takes, with one layer: the tar file `root`. The digest of the image."""
    packed = root.with_suffix(".gz")
    layer, inside = compress(root, packed)
    blobs: list[tuple[dict[str, object], bytes]] = []

    def add(kind: str, content: dict[str, object]) -> dict[str, object]:
        data = json.dumps(content, sort_keys=True).encode()
        blobs.append((descriptor(kind, hashlib.sha256(data).hexdigest(), len(data)), data))
        return blobs[-1][0]

    platform: dict[str, object] = {"os": "linux", "architecture": ARCHITECTURES.get(machine, machine)}
    about: dict[str, object] = {
        "created": CREATED,
        "config": settings,
        # An entry for each layer, as real bases have it: without one, BuildKit writes into the history what it has in its cache.
        "history": [{"created": CREATED, "created_by": "mmdebstrap"}],
        "rootfs": {"type": "layers", "diff_ids": [inside]},
    }
    config = add("config.v1+json", platform | about)
    kind = "manifest.v1+json"
    versioned: dict[str, object] = {"schemaVersion": 2, "mediaType": f"application/vnd.oci.image.{kind}"}
    manifest = add(kind, versioned | {"config": config, "layers": [layer]})
    names = {"io.containerd.image.name": f"docker.io/library/{name}", "org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [manifest | {"annotations": names, "platform": platform}]}
    with tarfile.open(target, "w") as archive:
        put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put(archive, "index.json", json.dumps(index, sort_keys=True).encode())
        for about_blob, data in blobs:
            put(archive, blob_path(about_blob), data)
        archive.add(packed, blob_path(layer))
    packed.unlink()
    return str(manifest["digest"])


def blob_path(about: dict[str, object]) -> str:
    """Where a blob lies in an OCI archive."""
    return "blobs/" + str(about["digest"]).replace(":", "/")


def put(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a small file to an archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
