"""An image as an OCI archive: its manifest, its configuration, and what is in its layers, each blob checked by its digest.

Nothing of it is run or unpacked. An archive of another builder may hold anything, so whatever does not fit ends in a
VerificationError that names the archive.
"""

import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zstandard import ZstdDecompressor, ZstdError

from envgen.core.errors import VerificationError

LARGEST_DOCUMENT = 4_000_000
"""Bytes of a manifest or configuration: registries take no larger one."""

CHUNK = 1 << 20
"""Bytes read at a time."""

UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, ZstdError)
"""What reading a blob that is cut off or damaged ends in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer in a manifest: the digest of its blob, that blob's size in bytes, its media type, and the digest of it unpacked."""

    digest: str
    size: int
    media_type: str
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDocuments:
    """What an image says of itself: its manifest and the digest of it, its configuration, and its layers, the lowest first."""

    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels; none of them need be there."""
        config = self.config.get("config")
        return dict((config.get("Labels") if isinstance(config, dict) else None) or {})


class Archive:
    """An OCI archive in the file `path`, open as long as the context lasts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  (closed by __exit__)
            self._blobs = {member.name: member for member in self._tar if member.isfile()}
        except (OSError, tarfile.TarError) as error:
            raise self._wrong(f"can't be read as an archive: {error}", hint="as docker save, or buildx with type=oci, writes it") from error

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def image(self, digest: str = "", platform: str = "") -> ImageDocuments:
        """The image in here: the one with this manifest digest, or the one for this platform, or the only one.

        Raises VerificationError when there is none, or more than one, or its documents are not what they should be.
        """
        try:
            return self._image(digest, platform)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its index, manifest or configuration is malformed: {error}") from error

    def _image(self, digest: str, platform: str) -> ImageDocuments:
        found = dict(self._manifests(self._document("index.json"), digest))
        fitting = [name for name, where in found.items() if not platform or where in ("", platform)]
        if len(fitting) != 1:
            known = ", ".join(f"{name[:19]} ({where or 'any platform'})" for name, where in found.items()) or "none"
            raise self._wrong(f"found {len(fitting)} images that fit, expected one; in it: {known}")
        manifest = self._blob_document(fitting[0])
        config = self._blob_document(str(manifest.get("config", {}).get("digest", "")))
        return ImageDocuments(digest=fitting[0], manifest=manifest, config=config, layers=self._layers(manifest, config))

    def reachable(self, digest: str) -> tuple[str, ...]:
        """The digests of all blobs of the image, or image index, `digest`: its own first, those of platforms that are not here left out.

        Raises VerificationError when the image is not whole.
        """
        document = self._blob_document(digest)
        if "manifests" not in document:
            return (digest, str(document["config"]["digest"]), *(str(layer["digest"]) for layer in document["layers"]))
        inside = [str(entry["digest"]) for entry in document["manifests"]]
        parts = [self.reachable(inner) for inner in inside if self.has(inner)]
        # A builder may have fetched a manifest to look at, and no more.
        whole = [blob for blobs in parts if all(map(self.has, blobs)) for blob in blobs]
        if not whole:
            raise self._wrong(f"has nothing of what the index {digest[:19]} names")
        return tuple(dict.fromkeys((digest, *whole)))

    def has(self, digest: str) -> bool:
        """Whether there is a blob with this digest."""
        return _path_of(digest) in self._blobs

    def blob(self, digest: str) -> tuple[IO[bytes], int]:
        """The stream of a blob and its size in bytes, unchecked. Raises VerificationError when it is not here."""
        return self._open(digest), self._blobs[_path_of(digest)].size

    def _manifests(self, index: Mapping[str, Any], wanted: str, inside: bool = False) -> Iterator[tuple[str, str]]:
        """The digests of the images in an index with their platforms; attestations are none."""
        for entry in index.get("manifests", ()):
            digest, place = str(entry.get("digest", "")), entry.get("platform") or {}
            # Of an image for several platforms an engine saves those that it has.
            if place.get("os") == "unknown" or not self.has(digest):
                continue
            document = self._blob_document(digest)
            here = inside or wanted in ("", digest)
            if "manifests" in document:
                yield from self._manifests(document, wanted, here)
            elif here:
                yield digest, "/".join(str(place[key]) for key in ("os", "architecture") if key in place)

    def _layers(self, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Layer, ...]:
        described, unpacked = manifest.get("layers", []), config.get("rootfs", {}).get("diff_ids", [])
        if len(described) != len(unpacked):
            raise self._wrong(f"its manifest has {len(described)} layers, its configuration {len(unpacked)}")
        return tuple(
            Layer(digest=str(layer["digest"]), size=int(layer["size"]), media_type=str(layer.get("mediaType", "")), diff_id=str(diff_id))
            for layer, diff_id in zip(described, unpacked, strict=True)
        )

    def files(self, layer: Layer) -> Iterator[tuple[tarfile.TarInfo, "Content | None"]]:
        """The entries of a layer in their order, each with the stream of its content if it is a file.

        A stream can be read until the next entry is asked for. The layer's digests are checked after the last one.
        Raises VerificationError when one is wrong, or the blob can't be read.
        """
        digests = hashlib.sha256(), hashlib.sha256()
        try:
            with self._open(layer.digest) as blob:
                packed = _Hashed(blob, digests[0])
                content = _Hashed(_unpack(packed, layer.media_type), digests[1])
                with tarfile.open(fileobj=content, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]  # read is all it needs
                    for member in tar:
                        stream = tar.extractfile(member) if member.isreg() else None
                        yield member, Content(stream, lambda error: self._unreadable(layer, error)) if stream else None
                for stream in (content, packed):
                    while stream.read(CHUNK):
                        pass
                # Not every reader of tar files ends where this one does: what it did not see could be there for another.
                if content.written > tar.offset:
                    raise tarfile.ReadError(f"there is something behind its end, at byte {content.written}")
        except UNREADABLE as error:
            raise self._unreadable(layer, error) from error
        for found, expected in zip(digests, (layer.digest, layer.diff_id), strict=True):
            if f"sha256:{found.hexdigest()}" != expected:
                raise self._wrong(f"its layer {layer.digest[:19]} has sha256 {found.hexdigest()}, expected {expected}")

    def _open(self, digest: str) -> IO[bytes]:
        member = self._blobs.get(_path_of(digest))
        stream = self._tar.extractfile(member) if member else None
        if stream is None:
            raise self._wrong(f"has no blob {digest or 'at all'}")
        return stream

    def _blob_document(self, digest: str) -> dict[str, Any]:
        return self._document(_path_of(digest))

    def _document(self, name: str) -> dict[str, Any]:
        """A JSON document by its name in the archive, checked by its digest if it is a blob."""
        member = self._blobs.get(name)
        stream = self._tar.extractfile(member) if member and member.size <= LARGEST_DOCUMENT else None
        if stream is None:
            hint = "is it an OCI archive? docker save writes one from containerd's store"
            raise self._wrong(f"has no {name}, or a far too large one", hint=hint)
        content = stream.read()
        if name.startswith("blobs/") and name != f"blobs/sha256/{hashlib.sha256(content).hexdigest()}":
            raise self._wrong(f"{name} has sha256 {hashlib.sha256(content).hexdigest()}")
        try:
            found = json.loads(content)
        except ValueError as error:
            raise self._wrong(f"{name} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise self._wrong(f"{name} is not a JSON object")
        return found

    def _unreadable(self, layer: Layer, error: Exception) -> VerificationError:
        return self._wrong(f"its layer {layer.digest[:19]} can't be read: {error}")

    def _wrong(self, problem: str, hint: str = "") -> VerificationError:
        return VerificationError(str(self._path), problem, hint=hint)


def _path_of(digest: str) -> str:
    """Where a blob is in an archive."""
    return f"blobs/{digest.replace(':', '/', 1)}"


class Content:
    """The content of one file in a layer; what goes wrong while it is read is raised as `wrong` says it."""

    def __init__(self, stream: IO[bytes], wrong: Callable[[Exception], VerificationError]) -> None:
        self._stream, self._wrong = stream, wrong

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left. Raises VerificationError."""
        try:
            return self._stream.read(size)
        except UNREADABLE as error:
            raise self._wrong(error) from error


class _Hashed:
    """A stream that can only be read forwards, and hashes what goes through it."""

    def __init__(self, stream: Any, digest: Any) -> None:  # what `read` has, and a hash object: neither has a public type
        self._stream, self._digest, self._position = stream, digest, 0
        self.written = 0
        """Bytes up to the last one so far that is not zero."""

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._stream.read(size)
        self._digest.update(content)
        if stripped := content.rstrip(b"\0"):
            self.written = self._position + len(stripped)
        self._position += len(content)
        return content


def _unpack(stream: _Hashed, media_type: str) -> Any:
    """The stream of a layer's tar file."""
    if media_type.endswith("zstd"):
        return ZstdDecompressor().stream_reader(stream, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    if media_type.endswith("gzip"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[call-overload]
    return stream
