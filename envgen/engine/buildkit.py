"""BuildKit through `docker buildx`: the words of a build, and what its output means."""

import re
from pathlib import Path

from envgen.core.errors import BuildError
from envgen.engine.interface import BuildRequest

COMPRESSION = {
    "zstd": "compression=zstd,compression-level=3,oci-mediatypes=true",
    "gzip": "compression=gzip,force-compression=true,oci-mediatypes=true",
}
"""zstd's own default level: level 1 takes about as long, and the layers of cpu-base are a tenth larger. Without the force, layers
that the builder has as zstd would stay so."""


def build_command(request: BuildRequest, work: Path, builder: str) -> list[str]:
    """The words after `docker` that build `request`; the folder `work` has its Dockerfile and an empty context."""
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
    """The value of buildx's --output for `request`: into the engine's store, or wherever else its builder keeps images."""
    return f"type=image,name={request.tag},{COMPRESSION[request.compression]}"


def version_in(inspected: str) -> str:
    """The version of a builder's BuildKit, empty where it does not say."""
    match = re.search(r"BuildKit(?: version)?:\s*v?([0-9][^\s+]*)", inspected)
    return match[1] if match and match[1] != "0.0.0" else ""


def platforms_in(inspected: str) -> tuple[str, ...]:
    """The platforms whose programs a builder can run, by itself or by emulation."""
    match = re.search(r"Platforms:\s*(.*)", inspected)
    return tuple(word.strip().rstrip("*") for word in match[1].split(",")) if match else ()


def build_error(stderr: str) -> BuildError:
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
