"""What registries say of images, in the words of `docker buildx imagetools`, which needs no engine and has Docker's own credentials."""

import re

from envgen.core.errors import BaseGoneError, EngineError
from envgen.core.settings import registry_of

_DIGEST = re.compile(r"^Digest:\s+(sha256:[0-9a-f]{64})\s*$", re.MULTILINE)
_REQUEST = re.compile(r'failed to do request: \w+ "[^"]*": ')
_REFUSED = re.compile(r"pull access denied|\b(401 Unauthorized|403 Forbidden)|failed to authorize")


def digest_in(report: str, reference: str) -> str:
    """The digest in what `inspect` reports of `reference`. Raises EngineError."""
    match = _DIGEST.search(report)
    if not match:
        raise EngineError(reference, f"found no digest in what buildx says of it: {report[:80]!r}", hint="install a newer docker-buildx")
    return match[1]


def refusal(reference: str, stderr: str) -> EngineError:
    """What to raise when `inspect` failed for `reference`: its registry has it not, refuses, or gives no answer."""
    if re.search(r"'buildx' is not a docker command|unknown command: docker buildx", stderr):
        return no_buildx()
    lines = [line for line in stderr.splitlines() if line.strip()]
    reason = _REQUEST.sub("", lines[-1].removeprefix("ERROR: ")) if lines else "no output"
    # Docker's own registry is asked for docker.io/library/NAME.
    if reason.endswith(f"{reference}: not found"):
        kind, named = ("digest", "") if "@" in reference else ("tag", " or never was")
        hint = "name another base in the profile, as NAME:TAG@sha256:DIGEST"
        return BaseGoneError(reference, f"its registry answers, and has no such {kind}: it was deleted{named}", hint=hint)
    if _REFUSED.search(reason):
        hint = f"docker login {registry_of(reference)[0]}  (credentials are those of Docker's own configuration)"
        return EngineError(reference, f"its registry refuses: {reason}", hint=hint)
    return EngineError(reference, f"its registry gives no answer: {reason}", hint="check the network and the proxy (HTTPS_PROXY)")


def no_buildx() -> EngineError:
    return EngineError("docker buildx", "not installed", hint="install the package docker-buildx (docker-buildx-plugin)")


def python_of(image: object) -> str:
    """The PYTHON_VERSION that an image's configuration sets; for several platforms they must agree."""
    if not isinstance(image, dict):
        return ""
    configs = [image] if "config" in image else [value for value in image.values() if isinstance(value, dict)]
    pairs = [str(pair).partition("=") for config in configs for pair in config.get("config", {}).get("Env") or []]
    versions = {value for name, _, value in pairs if name == "PYTHON_VERSION"}
    return versions.pop() if len(versions) == 1 else ""
