"""Reads the manifest of an image, which the engine's API does not offer, from a push to a fake registry on loopback.

The registry claims to have every blob, so the engine sends only the manifest. An engine on another host can't reach the registry: then
the manifest is read from the engine's archive of the image, which may have it at its very end.
"""

import hashlib
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from envgen.core.errors import EngineError
from envgen.engine.interface import Blob
from envgen.oci.documents import parse_json
from envgen.oci.tar_reader import TarReader

REPOSITORY = "envgen-manifest"
LARGEST_MANIFEST = 4_000_000
"""Bytes: registries reject larger ones."""

POLL = 0.01
"""Seconds between the registry's checks for shutdown."""


def read_layers(client: Any, digest: str) -> tuple[Blob, ...]:  # the SDK has no types
    """The layers of the manifest `digest` in the engine's store, or of the first image in that index.

    Raises EngineError if there is no such manifest.
    """
    image = client.images.get(digest)
    manifest = _manifest(_pushed(client, image), digest) or _archived(image.save(chunk_size=2**20), digest)
    return tuple(Blob(digest=layer["digest"], size=int(layer["size"]), media_type=layer["mediaType"]) for layer in manifest["layers"])


def _manifest(blobs: Mapping[str, bytes], digest: str) -> dict[str, Any] | None:
    """The manifest `digest`, or the first image of that index which is not an attestation; None if it is not in `blobs`."""
    if digest not in blobs:
        return None
    document = _document(blobs[digest])
    if "layers" in document:
        return document
    images = [entry["digest"] for entry in document.get("manifests", ()) if entry.get("platform", {}).get("os") != "unknown"]
    return next((manifest for image in images if (manifest := _manifest(blobs, image))), None)


def _document(content: bytes) -> dict[str, Any]:
    """Parses a manifest; empty if it is invalid."""
    try:
        document = parse_json(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


class _Registry(ThreadingHTTPServer):
    """Claims to have every blob, and keeps the manifests pushed to it, by digest."""

    request_queue_size = 128
    """Engines ask about all blobs at once; a connection that does not fit into the queue is retried a second later."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RegistryHandler)
        self.manifests: dict[str, bytes] = {}


class _RegistryHandler(BaseHTTPRequestHandler):
    server: _Registry
    default_request_version = "HTTP/1.1"
    """Engines try TLS first and fall back only after an HTTP response; by default the class answers without a status line."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        self._answer(200 if "/blobs/" in self.path else 404)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.server.manifests[digest] = content
        self._answer(201, digest)

    def _answer(self, code: int, digest: str = "") -> None:
        self.send_response(code)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


@contextmanager
def _registry() -> Iterator[_Registry]:
    server = _Registry()
    thread = threading.Thread(target=server.serve_forever, args=(POLL,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _pushed(client: Any, image: Any) -> Mapping[str, bytes]:
    """The manifests that the engine pushes, by digest; none if it can't reach us."""
    from docker.errors import DockerException

    with _registry() as server:
        repository = f"127.0.0.1:{server.server_address[1]}/{REPOSITORY}"
        try:
            image.tag(repository, "latest")
            try:
                client.images.push(repository, tag="latest")
            finally:
                client.images.remove(f"{repository}:latest", noprune=True)
        except DockerException:
            return {}
        return server.manifests


class _Stream:
    """Chunks of bytes as a forward-only file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, remaining = [], size
        while remaining > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:remaining], self._rest[remaining:]
            parts.append(part)
            remaining -= len(part)
        return b"".join(parts)


def _archived(chunks: Iterable[bytes], digest: str) -> dict[str, Any]:
    """The manifest in the OCI archive `chunks`, which is not read any further. Raises EngineError if there is none."""
    blobs: dict[str, bytes] = {}
    tar = TarReader(_Stream(chunks))
    try:
        for entry in tar:
            if entry.isreg() and entry.size < LARGEST_MANIFEST and (content := tar.read(entry)).lstrip()[:1] == b"{":
                blobs[f"sha256:{entry.name.rpartition('/')[2]}"] = content
                if manifest := _manifest(blobs, digest):
                    return manifest
    except tarfile.TarError as error:
        raise EngineError("docker", f"its archive of the image {digest[:19]} can't be read: {error}") from error
    hint = "does Docker use the containerd image store?"
    raise EngineError("docker", f"its archive of the image has no manifest {digest[:19]}", hint=hint)
