"""The protocols for building, storing, running and publishing images, and the values they exchange.

An implementation is a module or folder beside this one. `docker` implements all four; others may implement only one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

REFERENCE = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9][A-Za-z0-9._:/@-]*")
"""A valid name, tag or digest of an image; it becomes an argument of a command and part of a URL."""

OnLine = Callable[[str], None]
"""Callback: a line of a program's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """An engine's versions, which digests may depend on, and its abilities.

    `tools` are the versions of the other programs it uses; `image_store` is the kind of its image store. `data_root` is the folder
    with its images (empty: not on this host), `platforms` are those whose programs the builder can run, `memory` is in bytes
    (0: unknown). `gpus` names the mechanism that passes GPUs into a container (empty: none), and `gpu_cure` tells how to get one.
    `proxy` is the URL of the proxy it pulls through (empty: none).
    """

    name: str
    version: str
    tools: Mapping[str, str]
    data_root: str
    image_store: str = ""
    platforms: tuple[str, ...] = ()
    memory: int = 0
    gpus: str = ""
    gpu_cure: str = ""
    proxy: str = ""

    def versions(self) -> str:
        """The versions in one line."""
        return ", ".join(f"{name} {version}" for name, version in ((self.name, self.version), *self.tools.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the engine's store: its name, manifest digest, and size in bytes as reported by the engine.

    `platform` is the one that suits the engine best, if it has several; `diff_ids` are the digests of its unpacked layers, lowest
    first; `environment` are the variables that it sets.
    """

    name: str
    digest: str
    size: int
    labels: Mapping[str, str]
    platform: str = ""
    diff_ids: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A layer as stored in a registry: its digest, its compressed size in bytes, and its media type."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image as its registry has it now: pinned as NAME:TAG@DIGEST, and its full Python version (empty: unknown)."""

    pinned: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """The result of a push: the digest of `reference` in the registry, and the layers (short ids) that were sent."""

    reference: str
    digest: str
    sent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build: a Dockerfile with its named contexts, build arguments and labels, under a tag.

    `compression` is that of the layers: `zstd` or `gzip`.
    """

    dockerfile: bytes
    contexts: Mapping[str, Path]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    tag: str
    platform: str
    compression: str = "zstd"
    cache: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A command to run in an image, locked down by default.

    `image` is a name or a digest: a name may mean another image a moment later. With `clear_environment`, nothing that the image sets
    is in the program's environment.

    `mounts` are host paths, container paths, and whether they are writable; the network `none` has not even loopback to the host;
    `user` is `UID:GID`, None for the image's own; `gpus` is `all` or their numbers, as in `0,1`; `memory` is in bytes, None for no
    limit; `workdir` is None for the image's own; a container that writes nothing to its standard output for `quiet` seconds is
    killed (None: never).
    """

    image: str
    command: tuple[str, ...]
    mounts: tuple[tuple[Path, str, bool], ...] = ()
    environment: Mapping[str, str]
    network: str = "none"
    user: str | None = None
    gpus: str | None = None
    memory: int | None = None
    workdir: str | None = None
    quiet: float | None = None
    clear_environment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a container ended: exit code, whether it was killed for lack of memory, and the end of its standard error.

    `stalled` means that it was killed because it wrote nothing for too long.
    """

    code: int
    out_of_memory: bool
    stderr: str
    stalled: bool = False


class Builder(Protocol):
    """Builds images. Its methods raise EngineError if it does not answer."""

    def check(self) -> EngineInfo:
        """Versions and abilities. Raises EngineError, with a cure, if it can't build what envgen needs."""
        ...

    def build(self, request: BuildRequest, on_line: OnLine) -> Image:
        """Builds an image into this builder's image store. Raises BuildError."""
        ...


class Runtime(Protocol):
    """Runs programs in images. Its methods raise EngineError if it does not answer."""

    def run(self, request: RunRequest, on_line: OnLine) -> RunResult:
        """Runs a container, waits for it and removes it; `on_line` gets its standard output.

        The command is what runs: the image's own entrypoint and health check don't.
        """
        ...

    def attach(self, request: RunRequest, *, terminal: bool) -> int:
        """Runs a container on our own standard streams (`terminal`: they are one) and returns its command's exit code."""
        ...


class ImageStore(Protocol):
    """Stores images, and exchanges them with files and registries. Its methods raise EngineError if it does not answer."""

    def image(self, name: str) -> Image | None:
        """The image with that name, tag or digest; None if there is none. Raises UsageError for an invalid name."""
        ...

    def layers(self, image: Image) -> tuple[Blob, ...]:
        """The layers in the manifest of `image`, the base's first."""
        ...

    def descriptions(self, image: Image) -> tuple[str, ...]:
        """The names of build steps that the builder added to the history of `image` for layers missing from it."""
        ...

    def tag(self, image: Image, name: str) -> None:
        """Adds the name NAME:TAG to `image`."""
        ...

    def remove(self, name: str) -> None:
        """Removes a name, and its image if it has no other; does nothing if there is none."""
        ...

    def save(self, image: Image, path: Path) -> None:
        """Writes `image` into the file `path` as an OCI archive. Raises DiskFullError."""
        ...

    def load(self, path: Path) -> None:
        """Adds the images in the OCI archive `path`. Raises DiskFullError."""
        ...

    def pull(self, reference: str, platform: str) -> Image:
        """Fetches the image `reference` for `platform` from its registry."""
        ...

    def push(self, image: Image, reference: str, on_line: OnLine) -> Pushed:
        """Pushes `image` to `reference` (NAME:TAG). Raises EngineError with the registry's reason."""
        ...


class Registry(Protocol):
    """Queries registries without pulling anything."""

    def base(self, reference: str) -> Base:
        """The image that the tag of `reference` points to today; a digest in `reference` is ignored.

        Raises BaseGoneError if the registry has no such tag, EngineError if it refuses access or does not answer.
        """
        ...

    def digest(self, reference: str) -> str:
        """The digest of `reference`, which may include one. Raises as `base` does."""
        ...

    def create_index(self, reference: str, images: Sequence[str]) -> None:
        """Tags an index of `images`, which are in the same repository, as `reference`. Raises EngineError."""
        ...


class Engine(Builder, Runtime, ImageStore, Registry, Protocol):
    """All four protocols, for callers that need more than one."""
