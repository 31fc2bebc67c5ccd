"""Small OCI archives, made in memory: images whose layers hold what a test says."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zstandard import ZstdCompressor

EPOCH = 315532800
MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, kw_only=True)
class File:
    """An entry of a layer; `fields` are those of tarfile.TarInfo that are not as usual."""

    path: str
    content: bytes = b"some content\n"
    fields: Mapping[str, Any] = field(default_factory=dict)


def layer_tar(files: Sequence[File], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.mtime, entry.mode = EPOCH, 0o644
            for name, value in file.fields.items():
                setattr(entry, name, value)
            entry.size = len(file.content) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(file.content) if entry.isreg() else None)
    return buffer.getvalue()


def compress(content: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return ZstdCompressor().compress(content)
    return gzip.compress(content, mtime=0) if compression == "gzip" else content


def write_archive(
    path: Path, layers: Sequence[bytes], *, compression: str = "zstd", config: Mapping[str, Any] | None = None, **manifest: Any
) -> Path:
    """An archive of one image with these layers; `config` is laid over its configuration, `manifest` over its manifest."""
    blobs: dict[str, bytes] = {}

    def add(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    kind = f"{MEDIA_TYPE}+{compression}" if compression else MEDIA_TYPE
    described = [add(compress(layer, compression), kind) for layer in layers]
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, **(config or {})}
    about = add(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json")
    image = {"schemaVersion": 2, "config": about, "layers": described, **manifest}
    entry = add(json.dumps(image).encode(), "application/vnd.oci.image.manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [entry]}
    with tarfile.open(path, "w") as tar:
        for name, content in {"index.json": json.dumps(index).encode(), **{f"blobs/sha256/{key}": blobs[key] for key in blobs}}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
