"""Small OCI archives, and an engine that is none: it holds images in a table."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from envgen.core.errors import EngineError
from envgen.engine import Image


class Images:
    """Blobs and the index over them, as an archive."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def document(self, **fields: object) -> str:
        return self.add(json.dumps(fields).encode())

    def image(self, text: str) -> str:
        """An image with one layer; gives the digest of its manifest."""
        layer = self.add(f"the layer of {text}".encode())
        config = self.document(rootfs={"diff_ids": [layer]}, config={"Labels": {"text": text}})
        return self.document(
            schemaVersion=2, mediaType="application/vnd.oci.image.manifest.v1+json",
            config={"digest": config}, layers=[{"digest": layer, "size": len(self.blobs[layer]), "mediaType": "x.tar"}],
        )  # fmt: skip

    def several(self, **manifests: str) -> str:
        """An index over images by their architecture."""
        entries = [{"digest": digest, "platform": {"os": "linux", "architecture": place}} for place, digest in manifests.items()]
        return self.document(schemaVersion=2, mediaType="application/vnd.oci.image.index.v1+json", manifests=entries)

    def write(self, path: Path, names: Mapping[str, str]) -> Path:
        """The archive, in which these names stand for these digests."""
        entries = [{"digest": digest, "annotations": {"io.containerd.image.name": name}} for name, digest in names.items()]
        files = {f"blobs/{digest.replace(':', '/')}": content for digest, content in self.blobs.items()}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        with tarfile.open(path, "w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return path


class Shelf:
    """An engine's store: digests by name, and who is asked for what."""

    def __init__(self, images: Images, names: Mapping[str, str] | None = None) -> None:
        self.images = images
        self.names = dict(names or {})
        self.registry: dict[str, str] = {}
        self.pulled: list[tuple[str, str]] = []
        self.refuses = ""

    def image(self, name: str) -> Image | None:
        digest = self.names.get(name) or next((found for found in self.names.values() if found == name), "")
        return Image(name=name, digest=digest, size=1, labels={}, platform="linux/amd64") if digest else None

    def pull(self, reference: str, platform: str) -> Image:
        self.pulled.append((reference, platform))
        if reference not in self.registry:
            raise EngineError(reference, "can't be pulled: no such host", hint="check the network")
        self.names[reference] = self.registry[reference]
        return Image(name=reference, digest=self.registry[reference], size=1, labels={}, platform=platform)

    def tag(self, image: Image, name: str) -> None:
        self.names[name] = image.digest

    def save(self, image: Image, path: Path) -> None:
        self.images.write(path, {name: digest for name, digest in self.names.items() if digest == image.digest})

    def load(self, path: Path) -> None:
        if self.refuses:
            raise EngineError("docker", self.refuses, hint="start Docker")
        with tarfile.open(path) as tar:
            index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]  # it is a file
        for entry in index["manifests"]:
            self.names[entry["annotations"]["io.containerd.image.name"]] = entry["digest"]
