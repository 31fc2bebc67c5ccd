"""Small OCI archives made by hand, in which anything may be wrong."""

import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH = 315532800
TAR = "application/vnd.oci.image.layer.v1.tar"

Item = tuple[tarfile.TarInfo, bytes]


def item(path: str, content: bytes = b"", **fields: Any) -> Item:
    """An entry of a layer as a build of ours makes it; `fields` are those of a TarInfo that differ."""
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = len(content), 0o644, EPOCH
    for name, value in fields.items():
        setattr(info, name, value)
    return info, content


def folder(path: str, **fields: Any) -> Item:
    return item(path, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def link(path: str, target: str, **fields: Any) -> Item:
    return item(path, type=tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)


def tar_of(items: Sequence[Item]) -> bytes:
    """The bytes of a layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in items:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Made:
    """An image to be written: the entries of its layers, and its configuration but for the layers in it."""

    layers: list[list[Item]]
    config: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> "Made":
        return copy.deepcopy(self)

    def entry(self, path: str) -> tarfile.TarInfo:
        """The entry at `path` in the first layer that has it."""
        return next(info for layer in self.layers for info, _ in layer if info.name == path)

    def replace(self, path: str, content: bytes) -> None:
        """Gives a file other content."""
        for layer in self.layers:
            for position, (info, _) in enumerate(layer):
                if info.name == path:
                    info.size = len(content)
                    layer[position] = (info, content)

    def remove(self, path: str) -> None:
        for layer in self.layers:
            layer[:] = [pair for pair in layer if pair[0].name != path]

    def write(self, path: Path) -> str:
        """Writes the archive; the digest of its manifest."""
        return write_archive(path, [tar_of(layer) for layer in self.layers], self.config)


def write_archive(path: Path, tars: Sequence[bytes], config: Mapping[str, Any], *, missing_platform: str = "") -> str:
    """An archive with these layers; the digest of its manifest, or of an index that names an image that is not in it as well."""
    blobs: dict[str, bytes] = {}

    def add(content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in tars]
    whole = {**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    document = add(json.dumps(whole).encode(), "application/vnd.oci.image.config.v1+json")
    layers = [add(gzip.compress(content, mtime=0), f"{TAR}+gzip") for content in tars]
    top = add(json.dumps({"config": document, "layers": layers}).encode(), "application/vnd.oci.image.manifest.v1+json")
    if missing_platform:
        system, machine = missing_platform.split("/")
        top["platform"] = {"os": whole.get("os"), "architecture": whole.get("architecture")}
        other = {**top, "digest": f"sha256:{'9' * 64}", "platform": {"os": system, "architecture": machine}}
        top = add(json.dumps({"manifests": [other, top]}).encode(), "application/vnd.oci.image.index.v1+json")
    with tarfile.open(path, "w") as archive:
        named = {f"blobs/{digest.replace(':', '/')}": content for digest, content in blobs.items()}
        for name, content in {**named, "index.json": json.dumps({"manifests": [top]}).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(top["digest"])
