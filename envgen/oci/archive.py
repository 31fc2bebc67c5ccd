"""Reads an image from an OCI archive: manifest, configuration and layers, each blob checked against its digest.

Nothing is run or unpacked. Archives are untrusted input: anything unexpected raises a VerificationError that names the archive.
"""

import gzip
import hashlib
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zstandard import ZstdDecompressor, ZstdError

from envgen.core.errors import VerificationError
from envgen.oci.documents import parse_json
from envgen.oci.tar_reader import CHUNK, MOST_HEADERS, Slice, TarReader

LARGEST_DOCUMENT = 4_000_000
"""Bytes of a manifest or configuration: registries reject larger ones."""

MOST_LAYERS = 500
"""Layers of one image: no kernel stacks more."""

DEEPEST = 8
"""How deep indexes may be nested."""

FREE, LARGEST_RATIO = 256 << 20, 200
"""A layer may unpack to this many bytes, or to this multiple of its size; anything larger is a decompression bomb."""

IN_TOTO = "application/vnd.in-toto+json"
ATTESTS = "vnd.docker.reference.digest"
"""The media type of an attestation's layers, and the annotation with the digest of the attested image."""

HEADERS = 32 << 20
"""Bytes of headers in the archive itself: enough for 65,000 blobs."""

INDEX, DOCKER_INDEX, OLD_INDEX = "index.json", "manifest.json", "repositories"
"""The files by which an engine finds the images of an archive: OCI's, Docker's own, and Docker's oldest."""

UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, ZstdError)
"""The exceptions raised by reading a truncated or corrupt blob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer in a manifest: digest, size in bytes and media type of its blob, and the digest of the unpacked layer."""

    digest: str
    size: int
    media_type: str
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDocuments:
    """The documents of an image: its manifest with the manifest's digest, its configuration, and its layers, lowest first."""

    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels; empty if it has none."""
        config = self.config.get("config")
        return dict((config.get("Labels") if isinstance(config, dict) else None) or {})


class Archive:
    """The OCI archive in the file `path`: a context manager that keeps the file open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blobs: dict[str, tuple[int, int]] = {}
        """Offset and size in bytes of each file in the archive."""

        self._verified: set[Layer] = set()
        self._known: dict[str, _Manifest] = {}
        self._headers: dict[str, int] = {}
        """Bytes of headers in each layer read so far."""

        try:
            self._file = path.open("rb")
        except OSError as error:
            raise self._no_archive(error) from error
        try:
            self._find_blobs()
        except (OSError, tarfile.TarError) as error:
            self._file.close()
            raise self._no_archive(error) from error
        except BaseException:
            self._file.close()
            raise

    def _find_blobs(self) -> None:
        names = set()
        for member in TarReader(self._file, seek=self._file.seek, headers=HEADERS):
            if member.isdir():
                continue
            name = posixpath.normpath(member.name)
            if name in names:
                raise self._wrong(f"contains {name[:200]!a} twice")
            names.add(name)
            # Readers disagree on whether a link counts as a file of this name.
            if member.isfile():
                self._blobs[name] = member.offset_data, member.size

    def _no_archive(self, error: Exception) -> VerificationError:
        return self._wrong(f"can't be read as an archive: {error}", hint="as docker save, or buildx with type=oci, writes it")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def image(self, digest: str = "", platform: str = "") -> ImageDocuments:
        """The image with this manifest digest, for this platform, or the only one.

        Raises VerificationError if none or several match, or if its documents are malformed.
        """
        try:
            return self._image(digest, platform)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its index, manifest or configuration is malformed: {error}") from error

    def _image(self, digest: str, platform: str) -> ImageDocuments:
        platforms = {entry.digest: entry.platform for entry in self._manifests() if not entry.attests and digest in ("", *entry.above)}
        matching = [name for name, where in platforms.items() if not platform or where in ("", platform)]
        if len(matching) != 1:
            known = ", ".join(f"{name[:19]} ({where or 'any platform'})" for name, where in platforms.items()) or "none"
            raise self._wrong(f"found {len(matching)} matching images, expected one; the archive has: {known}")
        manifest = self._blob_document(matching[0])
        config = self._blob_document(self._described(manifest.get("config", {})))
        return ImageDocuments(digest=matching[0], manifest=manifest, config=config, layers=self._layers(manifest, config))

    def reachable(self, digest: str) -> tuple[str, ...]:
        """The digests of all blobs of the image or image index `digest`, its own first; platforms missing from the archive are left out.

        Raises VerificationError if the image is incomplete.
        """
        return self._reach(digest, {digest})

    def _reach(self, digest: str, seen: set[str], depth: int = 0) -> tuple[str, ...]:
        """As `reachable`, without the digests in `seen`: an index may name another one any number of times."""
        document = self._blob_document(digest)
        if "manifests" not in document:
            return (digest, str(document["config"]["digest"]), *(str(layer["digest"]) for layer in document["layers"]))
        self._check_depth(depth)
        parts = []
        for inner in dict.fromkeys(str(entry["digest"]) for entry in document["manifests"]):
            if inner not in seen and self.has(inner):
                seen.add(inner)
                parts.append(self._reach(inner, seen, depth + 1))
        # A builder may have fetched a manifest without its blobs.
        complete = [blob for blobs in parts if all(map(self.has, blobs)) for blob in blobs]
        if not complete:
            raise self._wrong(f"has no complete image of the index {digest[:19]}")
        return tuple(dict.fromkeys((digest, *complete)))

    def verify(self, image: ImageDocuments) -> None:
        """Reads every layer of `image` not yet read to its end, and checks both digests. Raises VerificationError."""
        for layer in image.layers:
            if layer not in self._verified:
                for _ in self.files(layer):
                    pass

    def others(self, image: ImageDocuments) -> tuple[str, ...]:
        """What an engine may load from the archive besides or instead of `image`, a line each; its attestations do not count.

        Raises VerificationError for a malformed index.
        """
        try:
            lines = [*self._other_manifests(image), *self._other_in_docker_index(image)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its index is malformed: {error}") from error
        return tuple(dict.fromkeys(lines))

    def check_only(self, image: ImageDocuments) -> None:
        """Raises VerificationError if an engine may load anything but `image` from the archive."""
        if others := self.others(image):
            raise self._wrong(
                "; ".join(others[:5]), hint=f"make an archive of one image: docker save {image.digest[:19]} (with --platform)"
            )

    def _other_manifests(self, image: ImageDocuments) -> Iterator[str]:
        for entry in self._manifests():
            about = self._about(entry.digest)
            # A manifest that claims to be an attestation is one only if it has no files.
            harmless = entry.attests == image.digest and about.no_files
            # Engines may save only the manifest of other platforms.
            absent = len(entry.above) > 2 and not self.has(about.config)
            if entry.digest != image.digest and not harmless and not absent:
                yield f"also contains the image {entry.digest[:19]} ({entry.platform or 'any platform'}), which an engine may load"

    def _other_in_docker_index(self, image: ImageDocuments) -> Iterator[str]:
        if DOCKER_INDEX not in self._blobs:
            if OLD_INDEX in self._blobs:
                yield f"also contains {OLD_INDEX}, which makes an old engine load other files"
            return
        expected = [_path_of(str(image.manifest["config"]["digest"])), *(_path_of(layer.digest) for layer in image.layers)]
        for entry in self._json(DOCKER_INDEX):
            names = [posixpath.normpath(str(name)) for name in (entry["Config"], *(entry.get("Layers") or ()))]
            if names != expected:
                yield f"its {DOCKER_INDEX} names a different image than its {INDEX}, with the configuration {names[0][:90]!a}"

    def has(self, digest: str) -> bool:
        """Whether the archive has a blob with this digest."""
        return _path_of(digest) in self._blobs

    def blob(self, digest: str) -> tuple[Slice, int]:
        """The stream of a blob and its size in bytes, unchecked. Raises VerificationError if it is missing."""
        stream = self._open(digest)
        return stream, stream.size

    def _manifests(self) -> Iterator["_ManifestEntry"]:
        """The manifests in the archive, each once for every path to it. Engines save the platforms they have of an index."""
        yield from self._inside(self._document(INDEX), ("",), set())

    def _inside(self, index: Mapping[str, Any], above: tuple[str, ...], seen: set[str]) -> Iterator["_ManifestEntry"]:
        """The manifests in an index reached through the digests `above`."""
        self._check_depth(len(above) - 1)
        for entry in index.get("manifests", ()):
            digest, place, notes = str(entry.get("digest", "")), entry.get("platform") or {}, entry.get("annotations") or {}
            if not self.has(digest):
                continue
            if not self._about(self._described(entry)).is_index:
                platform = "/".join(str(place[key]) for key in ("os", "architecture") if key in place)
                attests = str(notes.get(ATTESTS, "nothing")) if place.get("os") == "unknown" else ""
                yield _ManifestEntry(digest=digest, platform=platform, attests=attests, above=(*above, digest))
            elif digest not in seen:
                seen.add(digest)
                yield from self._inside(self._blob_document(digest), (*above, digest), seen)

    def _about(self, digest: str) -> "_Manifest":
        """What kind of manifest `digest` is, read once: an index may name it any number of times."""
        if digest not in self._known:
            document = self._blob_document(digest)
            kinds = {str(layer.get("mediaType")) for layer in document.get("layers", ())}
            config = str(document.get("config", {}).get("digest"))
            self._known[digest] = _Manifest(is_index="manifests" in document, config=config, no_files=kinds == {IN_TOTO})
        return self._known[digest]

    def _check_depth(self, depth: int) -> None:
        if depth > DEEPEST:
            raise self._wrong(f"has indexes nested more than {DEEPEST} deep")

    def _described(self, entry: Mapping[str, Any]) -> str:
        """The digest of the blob that `entry` describes; its size must match."""
        digest, size = str(entry.get("digest", "")), entry.get("size")
        if self.has(digest) and size is not None and (type(size) is not int or size != self._blobs[_path_of(digest)][1]):
            raise self._wrong(f"its blob {digest[:19]} has {self._blobs[_path_of(digest)][1]} bytes, expected {str(size)[:30]!a}")
        return digest

    def _layers(self, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Layer, ...]:
        described, unpacked = manifest.get("layers", []), config.get("rootfs", {}).get("diff_ids", [])
        if len(described) != len(unpacked):
            raise self._wrong(f"its manifest has {len(described)} layers, its configuration {len(unpacked)}")
        if len(described) > MOST_LAYERS:
            raise self._wrong(f"has {len(described)} layers, expected at most {MOST_LAYERS}")
        return tuple(
            Layer(digest=self._described(layer), size=int(layer["size"]), media_type=str(layer.get("mediaType", "")), diff_id=str(diff_id))
            for layer, diff_id in zip(described, unpacked, strict=True)
        )

    def files(self, layer: Layer) -> Iterator[tuple[tarfile.TarInfo, "Content | None"]]:
        """The entries of a layer in order, each with the stream of its content if it is a file.

        A stream is valid until the next entry is requested. The layer's digests are checked after the last one.
        Raises VerificationError if a digest does not match, or if the blob can't be read or is a decompression bomb.
        """
        digests = hashlib.sha256(), hashlib.sha256()
        blob = self._open(layer.digest)
        try:
            packed = _Hashed(blob, digests[0])
            content = _Hashed(_unpack(packed, layer.media_type), digests[1], max(FREE, LARGEST_RATIO * blob.size))
            tar = TarReader(content, headers=MOST_HEADERS - sum(self._headers.values()) + self._headers.get(layer.digest, 0))
            for member in tar:
                yield member, Content(tar, member, lambda error: self._unreadable(layer, error)) if member.isreg() else None
            for stream in (content, packed):
                while stream.read(CHUNK):
                    pass
            # Other tar readers may not stop where this one does, and would see further entries.
            if content.written > tar.end:
                raise tarfile.ReadError(f"found data after its end, at byte {content.written}")
        except UNREADABLE as error:
            raise self._unreadable(layer, error) from error
        self._headers[layer.digest] = tar.cost
        for digest, expected in zip(digests, (layer.digest, layer.diff_id), strict=True):
            if f"sha256:{digest.hexdigest()}" != expected:
                raise self._wrong(f"its layer {layer.digest[:19]} has sha256 {digest.hexdigest()}, expected {expected[:80]}")
        self._verified.add(layer)

    def _open(self, digest: str) -> Slice:
        place = self._blobs.get(_path_of(digest))
        if place is None:
            raise self._wrong(f"has no blob {digest[:80] or 'at all'}")
        return Slice(self._file, *place)

    def _blob_document(self, digest: str) -> dict[str, Any]:
        return self._document(_path_of(digest))

    def _document(self, name: str) -> dict[str, Any]:
        """A JSON object by its name in the archive, checked by its digest if it is a blob."""
        document = self._json(name)
        if not isinstance(document, dict):
            raise self._wrong(f"{name} is not a JSON object")
        return document

    def _json(self, name: str) -> Any:
        place = self._blobs.get(name)
        if place is None or place[1] > LARGEST_DOCUMENT:
            hint = "is it an OCI archive? docker save writes one if Docker uses the containerd image store"
            raise self._wrong(f"{name[:90]} is missing or far too large", hint=hint)
        content = Slice(self._file, *place).read()
        if name.startswith("blobs/") and name != f"blobs/sha256/{hashlib.sha256(content).hexdigest()}":
            raise self._wrong(f"{name} has sha256 {hashlib.sha256(content).hexdigest()}")
        try:
            return parse_json(content)
        except ValueError as error:
            raise self._wrong(f"{name} is not JSON: {error}") from error

    def _unreadable(self, layer: Layer, error: Exception) -> VerificationError:
        return self._wrong(f"its layer {layer.digest[:19]} can't be read: {error}")

    def _wrong(self, problem: str, hint: str = "") -> VerificationError:
        return VerificationError(str(self._path), problem, hint=hint)


def _path_of(digest: str) -> str:
    """The path of a blob in an archive."""
    return f"blobs/{digest.replace(':', '/', 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """Whether a manifest is an index, its configuration's digest, and whether all its layers are attestations without files."""

    is_index: bool
    config: str
    no_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _ManifestEntry:
    """A manifest in an archive: its digest and platform, and the digests on the path to it, its own last.

    `attests` is the digest of the attested image (`nothing` if it names none); empty for an image.
    """

    digest: str
    platform: str
    attests: str
    above: tuple[str, ...]


class Content:
    """The content of one file in a layer; `wrong` turns a read failure into the error to raise."""

    def __init__(self, tar: TarReader, member: tarfile.TarInfo, wrong: Callable[[Exception], VerificationError]) -> None:
        self._tar, self._member, self._wrong = tar, member, wrong

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left. Raises VerificationError."""
        try:
            return self._tar.read(self._member, size)
        except UNREADABLE as error:
            raise self._wrong(error) from error


class _Hashed:
    """A forward-only stream that hashes what is read from it, up to `limit` bytes (0: no limit)."""

    def __init__(self, stream: Any, digest: Any, limit: int = 0) -> None:  # what `read` has, and a hash object: neither has a public type
        self._stream, self._digest, self._position, self._limit = stream, digest, 0, limit
        self.written = 0
        """Bytes up to the last non-zero one read so far."""

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._stream.read(size)
        if self._limit and self._position + len(content) > self._limit:
            raise tarfile.ReadError(f"unpacks to more than {self._limit >> 20} MB")
        self._digest.update(content)
        if stripped := content.rstrip(b"\0"):
            self.written = self._position + len(stripped)
        self._position += len(content)
        return content


def _unpack(stream: _Hashed, media_type: str) -> Any:
    """The stream of a layer's uncompressed tar file."""
    if media_type.endswith("zstd"):
        return ZstdDecompressor().stream_reader(stream, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    if media_type.endswith("gzip"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[call-overload]
    return stream
