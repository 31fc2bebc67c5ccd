"""What registries say of images, in the words of `docker buildx imagetools`, which needs no engine and has Docker's own credentials."""

import re

from envgen.core.errors import BaseGoneError, EngineError
from envgen.core.settings import registry_of

_DIGEST = re.compile(r"^Digest:\s+(sha256:[0-9a-f]{64})\s*$", re.MULTILINE)
_REQUEST = re.compile(r'failed to do request: \w+ "[^"]*": ')
_REFUSED = re.compile(r"pull access denied|\b(401 Unauthorized|403 Forbidden)|failed to authorize")


def digest_in(report: str, reference: str) -> str:
    """The digest in buildx's report on `reference`. Raises EngineError."""
    match = _DIGEST.search(report)
    if not match:
        raise EngineError(reference, f"no digest in buildx's report: {report[:80]!r}", hint="install a newer docker-buildx")
    return match[1]


def refusal(reference: str, stderr: str) -> EngineError:
    """The error for a failed query of `reference`: its registry does not have it, refuses access, or does not answer."""
    if re.search(r"'buildx' is not a docker command|unknown command: docker buildx", stderr):
        return no_buildx()
    lines = [line for line in stderr.splitlines() if line.strip()]
    reason = _REQUEST.sub("", lines[-1].removeprefix("ERROR: ")) if lines else "no output"
    # For Docker's own registry, the reason names docker.io/library/NAME.
    if reason.endswith(f"{reference}: not found"):
        kind, named = ("digest", "") if "@" in reference else ("tag", " or never existed")
        hint = "name another base in the profile, as NAME:TAG@sha256:DIGEST"
        return BaseGoneError(reference, f"its registry has no such {kind}: it was deleted{named}", hint=hint)
    if _REFUSED.search(reason):
        hint = f"docker login {registry_of(reference)[0]}  (envgen uses Docker's credentials)"
        return EngineError(reference, f"its registry refuses access: {reason}", hint=hint)
    return EngineError(reference, f"its registry does not answer: {reason}", hint="check the network and the proxy (HTTPS_PROXY)")


def no_buildx() -> EngineError:
    return EngineError("docker buildx", "not installed", hint="install the package docker-buildx (docker-buildx-plugin)")


def python_of(image: object) -> str:
    """The PYTHON_VERSION in an image's configuration, empty if it is missing or the platforms disagree."""
    if not isinstance(image, dict):
        return ""
    configs = [image] if "config" in image else [value for value in image.values() if isinstance(value, dict)]
    pairs = [str(pair).partition("=") for config in configs for pair in config.get("config", {}).get("Env") or []]
    versions = {value for name, _, value in pairs if name == "PYTHON_VERSION"}
    return versions.pop() if len(versions) == 1 else ""
