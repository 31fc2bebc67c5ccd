"""BuildKit through `docker buildx`: its command lines, and parsing of its output."""

import re
from pathlib import Path

from envgen.core.errors import BuildError
from envgen.engine.interface import BuildRequest

COMPRESSION = {
    "zstd": "compression=zstd,compression-level=3,oci-mediatypes=true",
    "gzip": "compression=gzip,force-compression=true,oci-mediatypes=true",
}
"""zstd's default level: level 1 takes about as long and makes the layers of cpu-base a tenth larger. Without force-compression, layers
that the builder has as zstd would stay zstd."""


def build_command(request: BuildRequest, work: Path, builder: str) -> list[str]:
    """The arguments of `docker` that build `request`; the folder `work` has its Dockerfile and an empty context."""
    words = ["buildx", "build", "--builder", builder, "--progress", "plain", "--provenance=false"]
    words += ["--platform", request.platform, "--file", str(work / "Dockerfile"), "--metadata-file", str(work / "metadata.json")]
    words += [word for name, path in request.contexts.items() for word in ("--build-context", f"{name}={path}")]
    words += [word for name, value in request.arguments.items() for word in ("--build-arg", f"{name}={value}")]
    words += [word for name, value in request.labels.items() for word in ("--label", f"{name}={value}")]
    words += ["--output", output_of(request)]
    if not request.cache:
        words.append("--no-cache")
    return [*words, str(work / "context")]


def output_of(request: BuildRequest) -> str:
    """The value of buildx's --output for `request`: the image store of its builder."""
    return f"type=image,name={request.tag},{COMPRESSION[request.compression]}"


def version_in(inspected: str) -> str:
    """The version of a builder's BuildKit, empty if unknown."""
    match = re.search(r"BuildKit(?: version)?:\s*v?([0-9][^\s+]*)", inspected)
    return match[1] if match and match[1] != "0.0.0" else ""


def platforms_in(inspected: str) -> tuple[str, ...]:
    """The platforms whose programs a builder can run, natively or emulated."""
    match = re.search(r"Platforms:\s*(.*)", inspected)
    return tuple(word.strip().rstrip("*") for word in match[1].split(",")) if match else ()


def build_error(stderr: str) -> BuildError:
    """The error for a failed build, with the end of buildx's output: the failed step and what it wrote."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "no output")
    tail = "\n".join(lines[-25:])
    hint = ""
    if "no space left on device" in stderr:
        hint = "the engine's disk is full: make room, e.g. with: docker builder prune"
    elif "failed to resolve source metadata" in stderr or "failed to do request" in stderr:
        hint = "the base can't be pulled: check the network, or build on a local image with --base REF"
    elif "but the lock is for" in stderr:
        hint = "the base's Python is not the profile's: correct `full` in the profile's [python] table"
    return BuildError("docker buildx build", f"{reason.removeprefix('ERROR: ')}\n{tail}", hint=hint)
