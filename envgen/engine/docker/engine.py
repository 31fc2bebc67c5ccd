"""The Docker engine: builds use `docker buildx`, since the SDK has no BuildKit; nearly everything else uses the SDK."""

import itertools
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from envgen.core.errors import BuildError, EngineError, UsageError
from envgen.core.process import Completed, run, run_attached
from envgen.core.settings import Settings
from envgen.core.tempdirs import temp_dir
from envgen.engine.buildkit import build_command, build_error, platforms_in, version_in
from envgen.engine.docker.connection import no_connection
from envgen.engine.docker.manifest import read_layers
from envgen.engine.docker.registry import digest_in, no_buildx, python_of, refusal
from envgen.engine.docker.run import GPU_CURE, attached_command, run_container
from envgen.engine.docker.store import load_image, pull_refused, push_image, save_image, tag_image
from envgen.engine.interface import REFERENCE, Base, Blob, BuildRequest, EngineInfo, Image, OnLine, Pushed, RunRequest, RunResult

MINIMUM_BUILDKIT = Version("0.13")
MINIMUM_ENGINE = Version("26.0")
"""The first engine that includes this BuildKit."""

RACES = {": already exists": True, "failed to solve: not found": False}
"""Ends of build errors caused by concurrent builds or removals, and whether to retry with the cache: another build tagged its image with
the same name at the same moment, and the result is cached; or the builder's cache refers to a layer that was removed with an image."""

BY_EXPORTER = "buildkit.exporter.image.v0"
"""The comment of entries that BuildKit appends to a history with fewer entries than layers: the names of the steps that made the
uppermost layers, as they were when the layer entered the builder's cache."""

RACE_TRIES = 3
"""How often such a build is retried."""

_DAEMON_CURE = (
    'put {"features": {"containerd-snapshotter": true}} into /etc/docker/daemon.json and restart Docker:\n'
    "       only the containerd image store has the manifest digests of built images"
)


class DockerEngine:
    """An Engine: the Docker Engine named by DOCKER_HOST, or else by the current Docker context."""

    def __init__(self, settings: Settings) -> None:
        self._env = settings.environment()
        self._patience = settings.patience
        self._program = _find_docker(self._env.get("PATH", ""))
        self._client: Any = None

    def check(self) -> EngineInfo:
        client = self._connect()
        info = client.info()
        buildx = self._call("buildx", "version")
        if buildx.code != 0:
            raise no_buildx()
        if not any("containerd" in str(value) for pair in info.get("DriverStatus") or [] for value in pair):
            driver = info.get("Driver", "unknown")
            raise EngineError("docker", f"found the image store {driver!r}, expected containerd's", hint=_DAEMON_CURE)
        inspected = self._call("buildx", "inspect", self._builder()).stdout
        engine, buildkit = info.get("ServerVersion", ""), version_in(inspected)
        # Debian's Docker does not report BuildKit's version; the engine's own version is checked instead.
        new_enough = _at_least(buildkit, MINIMUM_BUILDKIT) if buildkit else _at_least(engine, MINIMUM_ENGINE)
        if not new_enough:
            installed = f"BuildKit {buildkit}" if buildkit else f"Docker Engine {engine}"
            problem = f"found {installed}, expected BuildKit {MINIMUM_BUILDKIT} (Docker Engine {MINIMUM_ENGINE}) or newer"
            raise EngineError("docker", problem, hint="install a newer Docker Engine")
        words = buildx.stdout.split()
        root = info.get("DockerRootDir", "")
        return EngineInfo(
            name="Docker",
            version=engine,
            tools={"buildx": words[1] if len(words) > 1 else "", "BuildKit": buildkit or f"of Docker Engine {engine}"},
            image_store="containerd image store",
            data_root=root if root and Path(root).is_dir() else "",
            platforms=platforms_in(inspected),
            memory=int(info.get("MemTotal") or 0),
            gpus=_gpus(info),
            gpu_cure=GPU_CURE,
            proxy=info.get("HttpsProxy") or info.get("HttpProxy") or "",
        )

    def build(self, request: BuildRequest, on_line: OnLine) -> Image:
        with temp_dir("build") as work:
            (work / "context").mkdir()
            (work / "Dockerfile").write_bytes(request.dockerfile)
            finished = self._buildx(request, work, on_line)
            for _ in range(RACE_TRIES):
                cache = next((cache for end, cache in RACES.items() if finished.stderr.rstrip().endswith(end)), None)
                if finished.code == 0 or cache is None:
                    break
                finished = self._buildx(replace(request, cache=cache), work, on_line)
            if finished.code != 0:
                raise build_error(finished.stderr)
            metadata = json.loads((work / "metadata.json").read_text(encoding="utf-8"))
        image = self.image(request.tag)
        if image is None or image.digest != metadata.get("containerimage.digest"):
            raise BuildError(request.tag, "the engine's store does not have the built image", hint="is another build using this tag?")
        return image

    def _buildx(self, request: BuildRequest, work: Path, on_line: OnLine) -> Completed[str]:
        return self._call(*build_command(request, work, self._builder()), on_line=on_line)

    def image(self, name: str) -> Image | None:
        from docker.errors import APIError, NotFound

        client = self._connect()
        if not REFERENCE.fullmatch(name):
            # The engine is not asked: the name would become part of a URL.
            raise UsageError(name, "not a valid image name", hint="see: docker image ls")
        try:
            image = client.images.get(name)
        except NotFound:
            return None
        except APIError as error:
            # Mostly 400: an invalid name.
            raise UsageError(name, f"not a valid image name: {error.explanation}", hint="see: docker image ls") from error
        # In the containerd image store, the id of an image is the digest of its manifest or index.
        return Image(
            name=name,
            digest=image.id,
            size=int(image.attrs["Size"]),
            labels=dict(image.labels or {}),
            platform=f"{image.attrs.get('Os', '')}/{image.attrs.get('Architecture', '')}",
            diff_ids=tuple((image.attrs.get("RootFS") or {}).get("Layers") or ()),
            environment=dict(entry.partition("=")[::2] for entry in (image.attrs.get("Config") or {}).get("Env") or ()),
        )

    def remove(self, name: str) -> None:
        from docker.errors import APIError, NotFound

        try:
            with suppress(NotFound):
                self._connect().images.remove(name, force=True)
        except (APIError, OSError) as error:  # OSError: the engine went away
            raise EngineError("docker", f"{name} can't be removed: {error}") from error

    def layers(self, image: Image) -> tuple[Blob, ...]:
        return read_layers(self._connect(), image.digest)

    def descriptions(self, image: Image) -> tuple[str, ...]:
        from docker.errors import APIError

        try:
            history = self._connect().api.history(image.digest)  # newest first
        except (APIError, OSError) as error:
            raise EngineError("docker", f"the history of {image.name} can't be read: {error}") from error
        added = itertools.takewhile(lambda step: step.get("Comment") == BY_EXPORTER, history)
        return tuple(str(step.get("CreatedBy", "")) for step in added)

    def save(self, image: Image, path: Path) -> None:
        save_image(self._connect(), image, path)

    def load(self, path: Path) -> None:
        load_image(self._connect(), path)

    def tag(self, image: Image, name: str) -> None:
        tag_image(self._connect(), image, name)

    def pull(self, reference: str, platform: str) -> Image:
        self._connect()
        finished = self._call("pull", "--quiet", "--platform", platform, "--", reference)
        image = self.image(reference.partition("@")[2] or reference) if finished.code == 0 else None
        if image is None:
            raise pull_refused(reference, finished.stderr)
        return image

    def base(self, reference: str) -> Base:
        tagged = reference.partition("@")[0]
        answer = json.loads(self._inspect(tagged, "--format", "{{json .}}"))
        return Base(pinned=f"{tagged}@{answer['manifest']['digest']}", python=python_of(answer.get("image")))

    def digest(self, reference: str) -> str:
        # Without a format, configurations are not fetched: at most two requests.
        return digest_in(self._inspect(reference), reference)

    def _inspect(self, reference: str, *options: str) -> str:
        """buildx's report on `reference` from its registry. Raises as `base` does."""
        command = [self._docker(), "buildx", "imagetools", "inspect", reference, *options]
        try:
            finished = run(command, env=self._env, limit=self._patience)
        except TimeoutError as error:
            raise refusal(reference, f"ERROR: {error}") from error
        if finished.code != 0:
            raise refusal(reference, finished.stderr)
        return finished.stdout

    def push(self, image: Image, reference: str, on_line: OnLine) -> Pushed:
        return push_image(self._connect(), image.digest, reference, on_line)

    def create_index(self, reference: str, images: Sequence[str]) -> None:
        finished = self._call("buildx", "imagetools", "create", "--builder", self._builder(), "--tag", reference, *images)
        if finished.code != 0:
            reason = (finished.stderr.strip().splitlines() or ["no output"])[-1].removeprefix("ERROR: ")
            raise EngineError(reference, f"can't create the index of all platforms: {reason}", hint="check that you may push there")

    def run(self, request: RunRequest, on_line: OnLine) -> RunResult:
        return run_container(self._connect(), request, on_line)

    def attach(self, request: RunRequest, *, terminal: bool) -> int:
        words, variables = attached_command(request, self._env, terminal=terminal)
        return run_attached([self._docker(), *words], env={**self._env, **variables})

    def _connect(self) -> Any:  # the SDK has no types
        if self._client is None:
            import docker
            from docker.errors import DockerException

            host = self._env.get("DOCKER_HOST") or self._context_host()
            try:
                client = docker.DockerClient(base_url=host or None, timeout=600)
                client.ping()
            except DockerException as error:
                raise no_connection(host, error) from error
            self._client = client
        return self._client

    def _context_host(self) -> str:
        """The engine's address in the CLI's current context, which the SDK does not read."""
        if not self._program:
            return ""
        finished = self._call("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        return finished.stdout.strip() if finished.code == 0 else ""

    def _builder(self) -> str:
        """The engine's built-in builder, which has the name of the context."""
        if self._env.get("DOCKER_HOST"):
            return "default"
        return self._call("context", "show").stdout.strip() or "default"

    def _call(self, *arguments: str, on_line: OnLine | None = None) -> Completed[str]:
        return run([self._docker(), *arguments], env=self._env, on_line=on_line)

    def _docker(self) -> str:
        if not self._program:
            raise EngineError("docker", "no docker command on PATH", hint="install the Docker CLI with buildx (docker-cli, docker-buildx)")
        return self._program


def _gpus(info: dict[str, Any]) -> str:
    """The engine's mechanism to pass NVIDIA GPUs into a container: its runtime, or CDI devices; empty for none."""
    devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or []]
    if "nvidia" in (info.get("Runtimes") or {}):
        return "the nvidia runtime"
    return "CDI" if any(device.startswith("nvidia.com/gpu") for device in devices) else ""


def _find_docker(path: str) -> str:
    return shutil.which("docker", path=path) or ""


def _at_least(version: str, minimum: Version) -> bool:
    try:
        return Version(version.split("+")[0]) >= minimum
    except InvalidVersion:
        return False
