"""The default resolver: `uv pip compile`, without the machine's own uv configuration."""

import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import DiskFullError, IndexRefusedError, IndexUnavailableError, ResolutionError
from envgen.core.process import run
from envgen.core.settings import Settings, index_variable, mirror_of
from envgen.core.target import Target
from envgen.core.tempdirs import temp_dir
from envgen.core.toml import toml_string
from envgen.core.unwritable import CACHE_FOLDER
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.sources import Packages
from envgen.sources.index import credentials_hint, host_of

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", re.MULTILINE)
_UNREACHABLE = re.compile(
    r"error sending request|Failed to fetch|Received some unexpected"
    r"|HTTP status (server|client) error|timed out",
    re.IGNORECASE,
)

_REFUSED = re.compile(r"\(40[13] (Unauthorized|Forbidden)\)")

_FULL = re.compile(r"No space left on device|Disk quota exceeded")

_UNWRITABLE = re.compile(rf"Failed to initialize cache|Read-only file system|{_FULL.pattern}")

_TRIES = 4
"""How often uv asks for one thing, with growing pauses; it goes by no Retry-After."""

_SLOWEST = 10
"""How many times our patience a resolution may take. uv gives up an answer that stalls, but never one that drips, or has no end."""


class UvResolver:
    """Resolves with the uv that is installed beside envgen."""

    name = "uv"

    def __init__(self, settings: Settings, packages: Packages) -> None:
        from uv import find_uv_bin

        self._uv = find_uv_bin()
        self._settings = settings
        self._client = packages.client

    def check(self, target: Target) -> None:
        """uv resolves for every target, wherever it runs."""

    def resolve(self, query: ResolveRequest) -> Resolution:
        with temp_dir("uv") as work:
            (work / "pyproject.toml").write_text("\n".join(self._project(query)), encoding="utf-8")
            (work / "constraints.txt").write_text("\n".join(query.constraints), encoding="utf-8")
            limit = _SLOWEST * self._client.patience
            try:
                finished = run(self._command(query), env=self._environment(query), cwd=work, limit=limit)
            except TimeoutError as error:
                raise self._too_slow(limit, query) from error
        if finished.code != 0:
            unwritable = _UNWRITABLE.search(finished.stderr)
            raise self._no_cache(finished.stderr) if unwritable else _failure(finished.stderr, query)
        pins: dict[str, str] = {canonicalize_name(name): version for name, version in _PIN.findall(finished.stdout)}
        _check_mapped(pins, query)
        return Resolution(versions=tuple(sorted(pins.items())))

    def _project(self, query: ResolveRequest) -> Iterator[str]:
        """A project file: the one way to tell uv that a package comes from one index alone."""
        yield "[project]\nname = 'envgen-query'\nversion = '0'"
        yield f"dependencies = [{', '.join(map(toml_string, query.requirements))}]"
        yield "[tool.uv.sources]"
        for index in query.indexes:
            for package in index.packages:
                yield f"{package} = {{ index = {toml_string(index.name)} }}"
        for index in query.indexes:
            folder = self._client.folder(index.name)
            location = folder.absolute().as_uri() if folder else self._client.location(index.name)
            yield f"[[tool.uv.index]]\nname = {toml_string(index.name)}\nurl = {toml_string(location)}\nexplicit = true"
            if folder:
                yield "format = 'flat'"

    def _command(self, query: ResolveRequest) -> list[str | Path]:
        command: list[str | Path] = [self._uv, "pip", "compile", "pyproject.toml", "--constraints", "constraints.txt"]
        command += ["--no-config", "--quiet", "--no-header", "--no-annotate", "--no-emit-package", "envgen-query"]
        command += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", query.target.python_full]
        command += ["--python-platform", query.target.uv_platform, "--exclude-newer", _instant(query.as_of)]
        for package, moment in query.moved:
            command += ["--exclude-newer-package", f"{package}={_instant(moment)}"]
        for index in query.indexes:
            if not index.upload_times:
                # uv hides everything that has no upload time, unless it is told not to look.
                command += [word for name in index.packages for word in ("--exclude-newer-package", f"{name}=false")]
        folder = self._client.folder("default")
        if folder:
            command += ["--no-index", "--find-links", folder.absolute()]
        elif mirror_of(self._settings, "default"):
            # In one word: whatever it begins with, it is no option of its own. By a name: uv finds its credentials by it.
            command.append(f"--default-index=default={self._client.location('default')}")
        return command

    def _environment(self, query: ResolveRequest) -> dict[str, str]:
        env = {**self._settings.environment(), "UV_CACHE_DIR": str(self._settings.cache / "uv"), "UV_PYTHON_DOWNLOADS": "never"}
        env["UV_HTTP_TIMEOUT"], env["UV_HTTP_RETRIES"] = str(math.ceil(self._client.patience)), str(_TRIES - 1)
        env["MACOSX_DEPLOYMENT_TARGET"] = query.target.macos
        for name in ("default", *(index.name for index in query.indexes)):
            credentials = self._client.credentials(name)
            if credentials:
                variable = f"UV_{index_variable(name)}"
                env[f"{variable}_USERNAME"], env[f"{variable}_PASSWORD"] = credentials
        return env

    def _too_slow(self, limit: float, query: ResolveRequest) -> IndexUnavailableError:
        hosts = {host_of(self._client.location(name)) for name in ("default", *(index.name for index in query.indexes))}
        problem = f"no resolution after {limit:g} s: an index answers far too slowly, or without an end ({', '.join(sorted(hosts - {''}))})"
        hint = f"try again later, or be more patient, as in ENVGEN_PATIENCE={math.ceil(self._client.patience * 5)}"
        return IndexUnavailableError(f"uv, {query.target.slug}", problem, hint=hint)

    def _no_cache(self, stderr: str) -> DiskFullError:
        reason = stderr.strip().splitlines()[-1].strip().removeprefix("cause: ")
        full = _FULL.search(stderr)
        hint = "make room there, or set ENVGEN_CACHE to a folder on another disk" if full else CACHE_FOLDER
        return DiskFullError(str(self._settings.cache / "uv"), f"uv's cache can't be written: {reason}", hint=hint)


def _check_mapped(pins: Mapping[str, str], query: ResolveRequest) -> None:
    """uv maps only what the project itself asks for; what others require it takes from the default index."""
    asked = {canonicalize_name(Requirement(text).name) for text in query.requirements}
    for index in query.indexes:
        for package in sorted(set(index.packages) & pins.keys() - asked):
            raise ResolutionError(
                f"uv, {query.target.slug}", f"{package} is mapped to the index {index.name}, but uv took it from the default one",
                hint=f"name {package} in the profile's requirements: uv follows the mapping only of packages named there",
            )  # fmt: skip


def _instant(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _failure(stderr: str, query: ResolveRequest) -> ResolutionError:
    """uv's own explanation, which is good, with what it means for the profile."""
    lines = [re.sub(r"^\s*(error:|cause:|×|╰─▶|│)\s?", "", line).rstrip() for line in stderr.splitlines()]
    text = "\n".join(line for line in lines if line) or stderr.strip()
    for uvs, ours in (("you require", "the profile requires"), ("envgen-query", "the profile"), ("your requirements", "its requirements")):
        text = text.replace(uvs, ours)
    if _REFUSED.search(stderr):
        return IndexRefusedError(f"uv, {query.target.slug}", text, hint=credentials_hint("<NAME>"))
    if _UNREACHABLE.search(stderr):
        hint = "check the network, the proxy (HTTPS_PROXY) and the CA (SSL_CERT_FILE)"
        return IndexUnavailableError(f"uv, {query.target.slug}", text, hint=hint)
    hint = "loosen a requirement of the profile, or move its as_of with: envgen update PROFILE --as-of DATE"
    if "platform tag" in text:
        hint = "ask for a release that has a wheel for this platform, or take the platform out of the profile"
    return ResolutionError(f"uv, {query.target.slug}", text, hint=hint)
