"""Docker: images are built through `docker buildx`, since the SDK has no BuildKit; all else goes through the SDK."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from envgen.engine import Base, BuildOrder, EngineInfo, Image, Line, RunOrder, RunResult
from envgen.errors import BuildError, EngineError
from envgen.process import Finished, run
from envgen.settings import Settings

MINIMUM_BUILDKIT = Version("0.13")
MINIMUM_ENGINE = Version("26.0")
"""The first engine with that BuildKit in it."""

COMPRESSION = "compression=zstd,compression-level=1,oci-mediatypes=true"
"""Level 1: on wheels it is within some percent of the default's size and much faster."""

_DAEMON_CURE = (
    'put {"features": {"containerd-snapshotter": true}} into /etc/docker/daemon.json and restart Docker:\n'
    "       only the containerd image store knows the manifest digest of an image that was built"
)
_TMPFS = {"/tmp": "rw,nosuid,nodev,mode=1777"}  # noqa: S108  (a path in the container)


class DockerEngine:
    """The Docker Engine that DOCKER_HOST, or else the current Docker context, names."""

    def __init__(self, settings: Settings) -> None:
        self._env = settings.environment()
        self._program = _find_docker(self._env.get("PATH", ""))
        self._client: Any = None

    def check(self) -> EngineInfo:
        client = self._connect()
        info = client.info()
        buildx = self._call("buildx", "version")
        if buildx.code != 0:
            raise EngineError("docker buildx", "not installed", hint="install the package docker-buildx (docker-buildx-plugin)")
        if not any("containerd" in str(value) for pair in info.get("DriverStatus") or [] for value in pair):
            driver = info.get("Driver", "unknown")
            raise EngineError("docker", f"found the image store {driver!r}, expected containerd's", hint=_DAEMON_CURE)
        engine, buildkit = info.get("ServerVersion", ""), self._buildkit()
        # Debian builds Docker without BuildKit's version in it; the engine's own version stands for it then.
        new_enough = _at_least(buildkit, MINIMUM_BUILDKIT) if buildkit else _at_least(engine, MINIMUM_ENGINE)
        if not new_enough:
            found = f"BuildKit {buildkit}" if buildkit else f"Docker Engine {engine}"
            problem = f"found {found}, expected BuildKit {MINIMUM_BUILDKIT} (Docker Engine {MINIMUM_ENGINE}) or newer"
            raise EngineError("docker", problem, hint="install a newer Docker Engine")
        words = buildx.stdout.split()
        root = info.get("DockerRootDir", "")
        return EngineInfo(
            engine=engine,
            buildx=words[1] if len(words) > 1 else "",
            buildkit=buildkit or f"of Docker Engine {engine}",
            data_root=root if root and Path(root).is_dir() else "",
        )

    def _buildkit(self) -> str:
        """The version of the builder's BuildKit, empty where it does not say."""
        inspected = self._call("buildx", "inspect", self._builder()).stdout
        match = re.search(r"BuildKit(?: version)?:\s*v?([0-9][^\s+]*)", inspected)
        return match[1] if match and match[1] != "0.0.0" else ""

    def build(self, order: BuildOrder, on_line: Line) -> Image:
        with tempfile.TemporaryDirectory(prefix="envgen-build-") as folder:
            work = Path(folder)
            (work / "context").mkdir()
            (work / "Dockerfile").write_bytes(order.dockerfile)
            finished = self._buildx(order, work, on_line)
            if finished.code != 0 and finished.stderr.rstrip().endswith(": already exists"):
                # Another build named its image the same at the same moment; what was built is in the cache.
                finished = self._buildx(replace(order, cache=True), work, on_line)
            if finished.code != 0:
                raise _build_error(finished.stderr)
            metadata = json.loads((work / "metadata.json").read_text(encoding="utf-8"))
        image = self.image(order.tag)
        if image is None or image.digest != metadata.get("containerimage.digest"):
            raise BuildError(
                order.tag, "the engine's store does not hold the image that was built", hint="is another build using this tag?"
            )
        return image

    def _buildx(self, order: BuildOrder, work: Path, on_line: Line) -> Finished:
        command = ["buildx", "build", "--builder", self._builder(), "--progress", "plain", "--provenance=false"]
        command += ["--platform", order.platform, "--file", str(work / "Dockerfile"), "--metadata-file", str(work / "metadata.json")]
        command += [word for name, path in order.contexts.items() for word in ("--build-context", f"{name}={path}")]
        command += [word for name, value in order.arguments.items() for word in ("--build-arg", f"{name}={value}")]
        command += [word for name, value in order.labels.items() for word in ("--label", f"{name}={value}")]
        command += ["--output", f"type=image,name={order.tag},{COMPRESSION}"]
        if not order.cache:
            command.append("--no-cache")
        return self._call(*command, str(work / "context"), on_line=on_line)

    def image(self, name: str) -> Image | None:
        from docker.errors import ImageNotFound

        client = self._connect()
        try:
            found = client.images.get(name)
        except ImageNotFound:
            return None
        # In containerd's store the id of an image is the digest of its manifest, or of its index.
        return Image(name=name, digest=found.id, size=int(found.attrs["Size"]), labels=dict(found.labels or {}))

    def base(self, reference: str) -> Base:
        tagged = reference.partition("@")[0]
        found = self._call("buildx", "imagetools", "inspect", tagged, "--format", "{{json .}}")
        if found.code != 0:
            reason = found.stderr.strip().splitlines()[-1:] or ["no output"]
            hint = "is the tag still there? check the network and `docker login`"
            raise EngineError(tagged, f"its registry gives no answer: {reason[0].removeprefix('ERROR: ')}", hint=hint)
        answer = json.loads(found.stdout)
        return Base(pinned=f"{tagged}@{answer['manifest']['digest']}", python=_python_of(answer.get("image")))

    def run(self, order: RunOrder, on_line: Line) -> RunResult:
        from docker.errors import APIError

        client = self._connect()
        try:
            container = client.containers.create(order.image, list(order.command), **_run_options(order))
        except APIError as error:
            raise EngineError("docker", f"the container can't be made: {error.explanation}") from error
        try:
            container.start()
            for line in _lines(container.logs(stream=True, follow=True, stdout=True, stderr=False)):
                on_line(line)
            code = int(container.wait()["StatusCode"])
            container.reload()
            killed = bool(container.attrs["State"].get("OOMKilled"))
            stderr = container.logs(stdout=False, stderr=True, tail=200).decode(errors="replace")
        except APIError as error:
            raise EngineError("docker", f"the container can't be run: {error.explanation}") from error
        finally:
            container.remove(force=True, v=True)
        return RunResult(code=code, out_of_memory=killed, stderr=stderr)

    def _connect(self) -> Any:  # the SDK has no types
        if self._client is None:
            import docker
            from docker.errors import DockerException

            host = self._env.get("DOCKER_HOST") or self._context_host()
            try:
                client = docker.DockerClient(base_url=host or None, timeout=600)
                client.ping()
            except DockerException as error:
                raise EngineError(
                    "docker", f"no engine answers at {host or 'the default socket'}",
                    hint="start Docker, or set DOCKER_HOST; on a bare Debian: python3 tests/machine demo",
                ) from error  # fmt: skip
            self._client = client
        return self._client

    def _context_host(self) -> str:
        """Where the CLI's current context has its engine, which the SDK does not read."""
        if not self._program:
            return ""
        found = self._call("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        return found.stdout.strip() if found.code == 0 else ""

    def _builder(self) -> str:
        """The builder that is part of the engine itself: it has the name of the context."""
        if self._env.get("DOCKER_HOST"):
            return "default"
        return self._call("context", "show").stdout.strip() or "default"

    def _call(self, *arguments: str, on_line: Line | None = None) -> Finished:
        if not self._program:
            raise EngineError("docker", "no docker command on PATH", hint="install the Docker CLI with buildx (docker-cli, docker-buildx)")
        return run([self._program, *arguments], env=self._env, on_line=on_line)


def _python_of(image: object) -> str:
    """The PYTHON_VERSION that an image's configuration sets; for several platforms they must agree."""
    if not isinstance(image, dict):
        return ""
    configs = [image] if "config" in image else [value for value in image.values() if isinstance(value, dict)]
    pairs = [str(pair).partition("=") for config in configs for pair in config.get("config", {}).get("Env") or []]
    versions = {value for name, _, value in pairs if name == "PYTHON_VERSION"}
    return versions.pop() if len(versions) == 1 else ""


def _find_docker(path: str) -> str:
    return shutil.which("docker", path=path) or ""


def _at_least(version: str, minimum: Version) -> bool:
    try:
        return Version(version.split("+")[0]) >= minimum
    except InvalidVersion:
        return False


def _run_options(order: RunOrder) -> dict[str, Any]:
    from docker.types import Mount

    options: dict[str, Any] = {
        "read_only": True,
        "network_mode": order.network,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": dict(_TMPFS),
        "environment": dict(order.environment),
        "init": True,
        "mounts": [Mount(target, str(source.absolute()), type="bind", read_only=not writable) for source, target, writable in order.mounts],
    }
    return {**options, "user": order.user} if order.user else options


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines from chunks that may end anywhere."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")


def _build_error(stderr: str) -> BuildError:
    """The end of what buildx wrote, which has the step that failed and its output."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "no output")
    tail = "\n".join(lines[-25:])
    hint = ""
    if "no space left on device" in stderr:
        hint = "the engine's disk is full: make room, e.g. with: docker builder prune"
    elif "failed to resolve source metadata" in stderr or "failed to do request" in stderr:
        hint = "the base can't be pulled: check the network, or build on one you have with --base REF"
    elif "but the lock is for" in stderr:
        hint = "the base has another Python than the profile says: correct `full` in the profile's [python] table"
    return BuildError("docker buildx build", f"{reason.removeprefix('ERROR: ')}\n{tail}", hint=hint)
