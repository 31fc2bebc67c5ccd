"""An image as an OCI archive: its manifest, its configuration, and what is in its layers, each blob checked by its digest.

Nothing of it is run or unpacked. An archive of another builder may hold anything, so whatever does not fit ends in a
VerificationError that names the archive.
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
"""Bytes of a manifest or configuration: registries take no larger one."""

MOST_LAYERS = 500
"""In one image: no kernel stacks more."""

DEEPEST = 8
"""How many indexes may be in one another."""

FREE, LARGEST_RATIO = 256 << 20, 200
"""A layer may unpack to so many bytes, or to so many times its size: what grows more was made to fill a disk, or time."""

IN_TOTO = "application/vnd.in-toto+json"
ATTESTS = "vnd.docker.reference.digest"
"""What the layers of an attestation are, and the annotation that says which image it is of."""

HEADERS = 32 << 20
"""Bytes of headers in the archive itself, of 65,000 blobs."""

INDEX, DOCKER_INDEX, OLD_INDEX = "index.json", "manifest.json", "repositories"
"""What an engine finds the images of an archive by: today's, Docker's own beside it, and the one before that."""

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
        self._blobs: dict[str, tuple[int, int]] = {}
        """Where each file is in the archive: its offset and size in bytes."""

        self._verified: set[Layer] = set()
        self._known: dict[str, _Manifest] = {}
        self._headers: dict[str, int] = {}
        """The bytes of headers in each layer that was read."""

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
                raise self._wrong(f"holds {name[:200]!a} twice")
            names.add(name)
            # What a link leads to some readers take for a file of this name, and others do not.
            if member.isfile():
                self._blobs[name] = member.offset_data, member.size

    def _no_archive(self, error: Exception) -> VerificationError:
        return self._wrong(f"can't be read as an archive: {error}", hint="as docker save, or buildx with type=oci, writes it")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def image(self, digest: str = "", platform: str = "") -> ImageDocuments:
        """The image in here: the one with this manifest digest, or the one for this platform, or the only one.

        Raises VerificationError when there is none, or more than one, or its documents are not what they should be.
        """
        try:
            return self._image(digest, platform)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its index, manifest or configuration is malformed: {error}") from error

    def _image(self, digest: str, platform: str) -> ImageDocuments:
        found = {entry.digest: entry.platform for entry in self._manifests() if not entry.attests and digest in ("", *entry.above)}
        fitting = [name for name, where in found.items() if not platform or where in ("", platform)]
        if len(fitting) != 1:
            known = ", ".join(f"{name[:19]} ({where or 'any platform'})" for name, where in found.items()) or "none"
            raise self._wrong(f"found {len(fitting)} images that fit, expected one; in it: {known}")
        manifest = self._blob_document(fitting[0])
        config = self._blob_document(self._described(manifest.get("config", {})))
        return ImageDocuments(digest=fitting[0], manifest=manifest, config=config, layers=self._layers(manifest, config))

    def reachable(self, digest: str) -> tuple[str, ...]:
        """The digests of all blobs of the image, or image index, `digest`: its own first, those of platforms that are not here left out.

        Raises VerificationError when the image is not whole.
        """
        return self._reach(digest, {digest})

    def _reach(self, digest: str, seen: set[str], depth: int = 0) -> tuple[str, ...]:
        """As `reachable`, without what was `seen` before: an index may name another one any number of times."""
        document = self._blob_document(digest)
        if "manifests" not in document:
            return (digest, str(document["config"]["digest"]), *(str(layer["digest"]) for layer in document["layers"]))
        self._check_depth(depth)
        parts = []
        for inner in dict.fromkeys(str(entry["digest"]) for entry in document["manifests"]):
            if inner not in seen and self.has(inner):
                seen.add(inner)
                parts.append(self._reach(inner, seen, depth + 1))
        # A builder may have fetched a manifest to look at, and no more.
        whole = [blob for blobs in parts if all(map(self.has, blobs)) for blob in blobs]
        if not whole:
            raise self._wrong(f"has nothing of what the index {digest[:19]} names")
        return tuple(dict.fromkeys((digest, *whole)))

    def verify(self, image: ImageDocuments) -> None:
        """Reads every layer of `image` that was not read to its end before, and checks both digests. Raises VerificationError."""
        for layer in image.layers:
            if layer not in self._verified:
                for _ in self.files(layer):
                    pass

    def others(self, image: ImageDocuments) -> tuple[str, ...]:
        """What an engine that is given the archive may load beside `image`, or in place of it, a line each; its attestations do not count.

        Raises VerificationError for an index that is malformed.
        """
        try:
            found = [*self._other_manifests(image), *self._other_in_docker_index(image)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._wrong(f"its index is malformed: {error}") from error
        return tuple(dict.fromkeys(found))

    def check_only(self, image: ImageDocuments) -> None:
        """Raises VerificationError when there is anything else than `image` in the archive that an engine may load."""
        if found := self.others(image):
            raise self._wrong("; ".join(found[:5]), hint=f"make an archive of one image: docker save {image.digest[:19]} (with --platform)")

    def _other_manifests(self, image: ImageDocuments) -> Iterator[str]:
        for entry in self._manifests():
            about = self._about(entry.digest)
            # Only what has no files is no image, whatever it is said to be.
            harmless = entry.attests == image.digest and about.no_files
            # Of other platforms an engine may save the manifest alone.
            absent = len(entry.above) > 2 and not self.has(about.config)
            if entry.digest != image.digest and not harmless and not absent:
                yield f"it also holds the image {entry.digest[:19]} ({entry.platform or 'any platform'}), which an engine may load"

    def _other_in_docker_index(self, image: ImageDocuments) -> Iterator[str]:
        if DOCKER_INDEX not in self._blobs:
            if OLD_INDEX in self._blobs:
                yield f"it also holds {OLD_INDEX}, by which an old engine loads other files"
            return
        expected = [_path_of(str(image.manifest["config"]["digest"])), *(_path_of(layer.digest) for layer in image.layers)]
        for entry in self._json(DOCKER_INDEX):
            found = [posixpath.normpath(str(name)) for name in (entry["Config"], *(entry.get("Layers") or ()))]
            if found != expected:
                yield f"its {DOCKER_INDEX} names another image, with the configuration {found[0][:90]!a}, than its {INDEX}"

    def has(self, digest: str) -> bool:
        """Whether there is a blob with this digest."""
        return _path_of(digest) in self._blobs

    def blob(self, digest: str) -> tuple[Slice, int]:
        """The stream of a blob and its size in bytes, unchecked. Raises VerificationError when it is not here."""
        stream = self._open(digest)
        return stream, stream.size

    def _manifests(self) -> Iterator["_Found"]:
        """The manifests in here, each once for every way to it. Of an image for several platforms an engine saves those that it has."""
        yield from self._inside(self._document(INDEX), ("",), set())

    def _inside(self, index: Mapping[str, Any], above: tuple[str, ...], seen: set[str]) -> Iterator["_Found"]:
        """Those in an index that is reached by the digests `above`."""
        self._check_depth(len(above) - 1)
        for entry in index.get("manifests", ()):
            digest, place, notes = str(entry.get("digest", "")), entry.get("platform") or {}, entry.get("annotations") or {}
            if not self.has(digest):
                continue
            if not self._about(self._described(entry)).is_index:
                platform = "/".join(str(place[key]) for key in ("os", "architecture") if key in place)
                attests = str(notes.get(ATTESTS, "nothing")) if place.get("os") == "unknown" else ""
                yield _Found(digest=digest, platform=platform, attests=attests, above=(*above, digest))
            elif digest not in seen:
                seen.add(digest)
                yield from self._inside(self._blob_document(digest), (*above, digest), seen)

    def _about(self, digest: str) -> "_Manifest":
        """What a manifest is, read once: an index may name it any number of times."""
        if digest not in self._known:
            document = self._blob_document(digest)
            kinds = {str(layer.get("mediaType")) for layer in document.get("layers", ())}
            config = str(document.get("config", {}).get("digest"))
            self._known[digest] = _Manifest(is_index="manifests" in document, config=config, no_files=kinds == {IN_TOTO})
        return self._known[digest]

    def _check_depth(self, depth: int) -> None:
        if depth > DEEPEST:
            raise self._wrong(f"has indexes in one another, more than {DEEPEST} deep")

    def _described(self, entry: Mapping[str, Any]) -> str:
        """The digest of the blob that `entry` describes, whose size must be the one it says."""
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
        """The entries of a layer in their order, each with the stream of its content if it is a file.

        A stream can be read until the next entry is asked for. The layer's digests are checked after the last one.
        Raises VerificationError when one is wrong, or the blob can't be read, or is made to fill whatever reads it.
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
            # Not every reader of tar files ends where this one does: what it did not see could be there for another.
            if content.written > tar.end:
                raise tarfile.ReadError(f"there is something behind its end, at byte {content.written}")
        except UNREADABLE as error:
            raise self._unreadable(layer, error) from error
        self._headers[layer.digest] = tar.cost
        for found, expected in zip(digests, (layer.digest, layer.diff_id), strict=True):
            if f"sha256:{found.hexdigest()}" != expected:
                raise self._wrong(f"its layer {layer.digest[:19]} has sha256 {found.hexdigest()}, expected {expected[:80]}")
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
        found = self._json(name)
        if not isinstance(found, dict):
            raise self._wrong(f"{name} is not a JSON object")
        return found

    def _json(self, name: str) -> Any:
        place = self._blobs.get(name)
        if place is None or place[1] > LARGEST_DOCUMENT:
            hint = "is it an OCI archive? docker save writes one from containerd's store"
            raise self._wrong(f"has no {name[:90]}, or a far too large one", hint=hint)
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
    """Where a blob is in an archive."""
    return f"blobs/{digest.replace(':', '/', 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """Whether a manifest is an index, the digest of its configuration, and whether all its layers are statements and no files."""

    is_index: bool
    config: str
    no_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A manifest in an archive: its digest and platform, and the digests that lead to it, its own last.

    `attests` is the digest of the image that it is an attestation of, or says that it is one; empty for an image.
    """

    digest: str
    platform: str
    attests: str
    above: tuple[str, ...]


class Content:
    """The content of one file in a layer; what goes wrong while it is read is raised as `wrong` says it."""

    def __init__(self, tar: TarReader, member: tarfile.TarInfo, wrong: Callable[[Exception], VerificationError]) -> None:
        self._tar, self._member, self._wrong = tar, member, wrong

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left. Raises VerificationError."""
        try:
            return self._tar.read(self._member, size)
        except UNREADABLE as error:
            raise self._wrong(error) from error


class _Hashed:
    """A stream that can only be read forwards, and hashes what goes through it: up to `limit` bytes (0: any number)."""

    def __init__(self, stream: Any, digest: Any, limit: int = 0) -> None:  # what `read` has, and a hash object: neither has a public type
        self._stream, self._digest, self._position, self._limit = stream, digest, 0, limit
        self.written = 0
        """Bytes up to the last one so far that is not zero."""

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
    """The stream of a layer's tar file."""
    if media_type.endswith("zstd"):
        return ZstdDecompressor().stream_reader(stream, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]
    if media_type.endswith("gzip"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[call-overload]
    return stream
