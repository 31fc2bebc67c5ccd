"""What builds, keeps, runs and publishes images: four protocols, and the values that go through them.

An implementation is a module or folder beside this one. `docker` is all four at once; others may be one of them alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

REFERENCE = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9][A-Za-z0-9._:/@-]*")
"""What the name, tag or digest of an image may be made of: it becomes a word of a command and part of a URL."""

OnLine = Callable[[str], None]
"""Callback: a line that a program has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What an engine is made of, which a digest also depends on, and what it offers.

    `tools` are the versions of the other programs that it works with; `image_store` says how it keeps images. `data_root` is
    the folder that images are stored in (empty: not on this host), `platforms` are those whose programs the builder can run, `memory`
    is in bytes (0: unknown). `gpus` names what passes GPUs into a container (empty: nothing), and `gpu_cure` how to get that.
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

    def versions(self) -> str:
        """The versions in one line."""
        return ", ".join(f"{name} {version}" for name, version in ((self.name, self.version), *self.tools.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image in the engine's store: its name, manifest digest, and size in bytes as the engine counts it.

    `platform` is, of those it is there for, the one that suits the engine best; `diff_ids` are the digests of its layers as they are
    unpacked, the lowest first; `environment` are the variables that it sets.
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
    """A layer as a registry keeps it: its digest, its compressed size in bytes, and its media type."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image as its registry has it now: pinned as NAME:TAG@DIGEST, and its full Python (empty: it does not say)."""

    pinned: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push left in a registry: the digest that `reference` has there, and the layers (short ids) that had to be sent."""

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
    """What to run in an image: locked down unless it says otherwise.

    `image` is a name, or a digest: a name may mean another image in the next moment. With `clear_environment` nothing that the image
    sets is in the program's environment.

    `mounts` maps a path on this host to a path in the container and whether it may be written; without `network`
    there is none, not even loopback to the host; `user` is `UID:GID`, None for the image's own; `gpus` are `all` or their
    numbers, as in `0,1`; `memory` is in bytes, None for as much as there is; `workdir` is None for the image's own; a container
    that writes nothing to its standard output for `quiet` seconds is killed (None: never).
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
    """How a container ended: exit code, whether the kernel killed it for memory, and the end of its standard error.

    `stalled` says that it was killed for writing nothing for longer than it might.
    """

    code: int
    out_of_memory: bool
    stderr: str
    stalled: bool = False


class Builder(Protocol):
    """Makes images. Its methods raise EngineError when it does not answer."""

    def check(self) -> EngineInfo:
        """Versions and abilities. Raises EngineError, with the cure, when it can't build what envgen needs."""
        ...

    def build(self, request: BuildRequest, on_line: OnLine) -> Image:
        """Builds an image into the image store that belongs to this builder. Raises BuildError."""
        ...


class Runtime(Protocol):
    """Runs programs in images. Its methods raise EngineError when it does not answer."""

    def run(self, request: RunRequest, on_line: OnLine) -> RunResult:
        """Runs a container to its end and removes it; `on_line` gets its standard output.

        The command is what runs: the image's own entrypoint and health check don't.
        """
        ...

    def attach(self, request: RunRequest, *, terminal: bool) -> int:
        """Runs a container on our own standard streams (`terminal`: they are one) to its end; the exit code of its command."""
        ...


class ImageStore(Protocol):
    """Keeps images, and exchanges them with files and registries. Its methods raise EngineError when it does not answer."""

    def image(self, name: str) -> Image | None:
        """The image of that name, tag or digest; None if there is none. Raises UsageError for an invalid name."""
        ...

    def layers(self, image: Image) -> tuple[Blob, ...]:
        """The layers in the manifest of `image`, the base's first."""
        ...

    def descriptions(self, image: Image) -> tuple[str, ...]:
        """What the builder added to the history of `image` for layers that are not in it: what it calls the steps that made them."""
        ...

    def tag(self, image: Image, name: str) -> None:
        """Gives `image` one more name, as NAME:TAG."""
        ...

    def remove(self, name: str) -> None:
        """Removes a name, and its image if it has no other; nothing happens where there is none."""
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
        """Sends to the registry of `reference` (NAME:TAG) what it lacks of `image`. Raises EngineError with the registry's reason."""
        ...


class Registry(Protocol):
    """Answers what registries have, without pulling anything."""

    def base(self, reference: str) -> Base:
        """What the tag of `reference` stands for today; a digest in `reference` is ignored.

        Raises BaseGoneError when the registry has no such tag, EngineError when it refuses or gives no answer.
        """
        ...

    def digest(self, reference: str) -> str:
        """The digest of `reference`, which may have one itself. Raises as `base` does."""
        ...

    def create_index(self, reference: str, images: Sequence[str]) -> None:
        """Makes `reference` an index of `images`, which are in the same repository. Raises EngineError."""
        ...


class Engine(Builder, Runtime, ImageStore, Registry, Protocol):
    """All four, for what needs more than one of them."""
