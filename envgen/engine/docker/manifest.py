"""The manifest of an image. The engine's API has no call for it, but whoever is pushed to gets it.

So the engine pushes to a registry on loopback that says it has every blob, and is sent the manifest alone. An engine on another host
does not reach that registry: its archive of the image has the manifest too, behind up to all of its bytes.
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
"""Bytes: registries take no larger one."""

POLL = 0.01
"""Seconds in which the registry sees that it is to end."""


def read_layers(client: Any, digest: str) -> tuple[Blob, ...]:  # the SDK has no types
    """The layers in the manifest `digest` of an image in the engine's store, or in the first one of an index.

    Raises EngineError when there is no such manifest.
    """
    image = client.images.get(digest)
    manifest = _manifest(_pushed(client, image), digest) or _archived(image.save(chunk_size=2**20), digest)
    return tuple(Blob(digest=layer["digest"], size=int(layer["size"]), media_type=layer["mediaType"]) for layer in manifest["layers"])


def _manifest(blobs: Mapping[str, bytes], digest: str) -> dict[str, Any] | None:
    """The manifest `digest`, or of an index the one that is an image and no attestation; None when it is not among `blobs`."""
    if digest not in blobs:
        return None
    found = _document(blobs[digest])
    if "layers" in found:
        return found
    images = [entry["digest"] for entry in found.get("manifests", ()) if entry.get("platform", {}).get("os") != "unknown"]
    return next((manifest for image in images if (manifest := _manifest(blobs, image))), None)


def _document(content: bytes) -> dict[str, Any]:
    """A manifest; empty for what is none."""
    try:
        found = parse_json(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class _Registry(ThreadingHTTPServer):
    """Has every blob that it is asked about, and keeps the manifests it is sent, by digest."""

    request_queue_size = 128
    """All blobs are asked about at once, and who is not heard tries again a second later."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RegistryHandler)
        self.manifests: dict[str, bytes] = {}


class _RegistryHandler(BaseHTTPRequestHandler):
    server: _Registry
    default_request_version = "HTTP/1.1"
    """Engines try TLS first, and go on without only after an answer that is HTTP; the class would answer a line alone."""

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
        """Says nothing."""


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
    """The manifests that the engine pushes, by digest; none when it does not come here."""
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
    """Chunks of bytes as a file that can only be read forwards."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:wanted], self._rest[wanted:]
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)


def _archived(chunks: Iterable[bytes], digest: str) -> dict[str, Any]:
    """The manifest in the OCI archive `chunks`, which is read no further. Raises EngineError when there is none."""
    blobs: dict[str, bytes] = {}
    tar = TarReader(_Stream(chunks))
    try:
        for entry in tar:
            if entry.isreg() and entry.size < LARGEST_MANIFEST and (content := tar.read(entry)).lstrip()[:1] == b"{":
                blobs[f"sha256:{entry.name.rpartition('/')[2]}"] = content
                if found := _manifest(blobs, digest):
                    return found
    except tarfile.TarError as error:
        raise EngineError("docker", f"its archive of the image {digest[:19]} can't be read: {error}") from error
    raise EngineError("docker", f"its archive of the image has no manifest {digest[:19]}", hint="is the image store containerd's?")
