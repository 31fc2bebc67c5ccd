"""OCI archives that hold whatever a test puts into them, and say of it what the test says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from image_files import MEDIA_TYPE, compress

Described = dict[str, Any]
KIND = "application/vnd.oci.image"
IN_TOTO = "application/vnd.in-toto+json"


class Layout:
    """Blobs by their digests, and the files beside them; `entries` are those of the index."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.entries: list[Described] = []
        self.files: dict[str, bytes] = {}

    def add(self, content: bytes, kind: str) -> Described:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def image(self, *layers: bytes, compression: str = "", config: Mapping[str, Any] | None = None, **manifest: Any) -> Described:
        """An image with these layers, given as tar files; `manifest` is laid over its manifest."""
        kind = f"{MEDIA_TYPE}+{compression}" if compression else MEDIA_TYPE
        described = [self.add(compress(layer, compression), kind) for layer in layers]
        diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        whole = {"os": "linux", "architecture": "amd64", **(config or {}), "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        about = self.add(json.dumps(whole).encode(), f"{KIND}.config.v1+json")
        return self.document(schemaVersion=2, config=about, layers=described, **manifest)

    def attestation(self, subject: Described, kind: str = IN_TOTO, of: str = "") -> Described:
        """What a builder says of `subject`, or of another image; as an entry of an index."""
        content = b"{}" if kind == IN_TOTO else b"files"
        about = self.add(b'{"os":"unknown"}', f"{KIND}.config.v1+json")
        found = self.document(schemaVersion=2, config=about, layers=[self.add(content, kind)])
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of or subject["digest"]}
        return {**found, "annotations": notes, "platform": {"os": "unknown", "architecture": "unknown"}}

    def index(self, *entries: Described) -> Described:
        return self.document(schemaVersion=2, manifests=list(entries))

    def document(self, **fields: Any) -> Described:
        return self.add(json.dumps(fields).encode(), f"{KIND}.{'index' if 'manifests' in fields else 'manifest'}.v1+json")

    def docker_index(self, *images: Described) -> None:
        """Docker's own index over `images`, beside the one of OCI."""
        rows = []
        for image in images:
            manifest = json.loads(self.blobs[image["digest"]])
            paths = [path_of(blob["digest"]) for blob in (manifest["config"], *manifest["layers"])]
            rows.append({"Config": paths[0], "RepoTags": ["x:1"], "Layers": paths[1:]})
        self.files["manifest.json"] = json.dumps(rows).encode()

    def write(self, path: Path, *entries: Described, prefix: str = "", last: Sequence[tarfile.TarInfo] = ()) -> Path:
        """The archive, with an index of `entries`, and `last` behind all else."""
        files = {path_of(digest): content for digest, content in self.blobs.items()} | self.files
        files = {"index.json": json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode(), **files}
        with tarfile.open(path, "w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(f"{prefix}{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            for member in last:
                tar.addfile(member)
        return path


def path_of(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def named(entry: Described, name: str) -> Described:
    """An entry of an index by which an engine gives an image a name."""
    return {**entry, "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}}


def placed(entry: Described, architecture: str) -> Described:
    return {**entry, "platform": {"os": "linux", "architecture": architecture}}
