"""Compares an image's configuration, which tells the engine how to run it, with the Dockerfile.

Its creation time and history are ignored: they don't affect what runs, and a plain `docker build` writes others.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from envgen.lock.render import PREFIX
from envgen.trust.audit.dockerfile import ImageConfig
from envgen.trust.audit.report import CONFIGURATION, AuditFinding

PLATFORM = ("os", "architecture", "variant", "os.version", "os.features")
IGNORED = ("author", "created", "history", "rootfs", "config")
"""Keys of a configuration that are checked elsewhere, or don't affect what runs."""

DEPRECATED = "ArgsEscaped"
"""BuildKit sets it with any CMD; it has a meaning only on Windows."""

Json = Mapping[str, Any]  # untrusted


def settings_of(config: Json) -> dict[str, Any]:
    """The part of a configuration about running the image; empty if it is not an object."""
    found = config.get("config")
    return dict(found) if isinstance(found, dict) else {}


def environment_of(config: Json) -> dict[str, str]:
    """The variables that a configuration sets."""
    return {name: value for name, _, value in _variables(config)}


def _variables(config: Json) -> list[tuple[str, str, str]]:
    found = settings_of(config).get("Env")
    return [str(pair).partition("=") for pair in found] if isinstance(found, list) else []


def labels_of(config: Json) -> dict[str, str]:
    """The labels of a configuration."""
    labels = settings_of(config).get("Labels")
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}


def assumed_base(config: Json) -> Json:
    """A replacement for an unavailable base: it has everything in `config` that does not come from the Dockerfile."""
    path = environment_of(config).get("PATH", "")
    others = [f"{name}={value}" for name, value in environment_of(config).items() if name != "PATH"]
    return {**config, "config": {**settings_of(config), "Env": [f"PATH={path.removeprefix(f'{PREFIX}/bin:')}", *others]}}


def compare_configuration(config: Json, base: Json, expected_config: ImageConfig, platform: str) -> Iterator[AuditFinding]:
    """Every difference between `config` and the `base`'s configuration with `expected_config` added; `platform` is the lock's."""
    found, below = settings_of(config), settings_of(base)
    yield from _pairs("label", labels_of(config), {**labels_of(base), **expected_config.labels})
    yield from _pairs("variable", environment_of(config), {**environment_of(base), **expected_config.environment})
    if len(_variables(config)) != len(environment_of(config)):
        yield _finding("its environment has a variable twice")
    overridden = {"User": expected_config.user, "WorkingDir": expected_config.workdir, "Cmd": list(expected_config.command)}
    # BuildKit drops a base's OnBuild.
    expected = {**below, "OnBuild": None, **overridden}
    for key in sorted({*found, *expected} - {"Env", "Labels", DEPRECATED}):
        if (found.get(key) or None) != (expected.get(key) or None):
            yield _finding(f"{key} is {found.get(key)!r} (expected {expected.get(key)!r})")
    for key in sorted(set(config) - {*PLATFORM, *IGNORED}):
        yield _finding(f"unexpected {key}")
    os, architecture, *_ = platform.split("/")
    for key, value in {**{key: base.get(key) for key in PLATFORM}, "os": os, "architecture": architecture}.items():
        if config.get(key) != value:
            yield _finding(f"{key} is {config.get(key)!r} (expected {value!r})")


def _pairs(kind: str, found: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[AuditFinding]:
    for name in sorted({*found, *expected}):
        if name not in expected:
            yield _finding(f"{kind} {name}={found[name]}, which neither the Dockerfile nor the base sets")
        elif name not in found:
            yield _finding(f"{kind} {name} is missing (expected {expected[name]})")
        elif found[name] != expected[name]:
            yield _finding(f"{kind} {name} is {found[name]} (expected {expected[name]})")


def _finding(problem: str) -> AuditFinding:
    return AuditFinding(part=CONFIGURATION, problem=problem)
