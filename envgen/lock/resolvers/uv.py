"""The default resolver: `uv pip compile`, without the machine's own uv configuration."""

import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import DiskFullError, IndexRefusedError, IndexUnavailableError, ResolutionError
from envgen.core.process import Completed, run
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
"""How often uv tries a request, with growing pauses; it ignores Retry-After."""

_SLOWEST = 10
"""The time limit of a resolution, in multiples of our patience. uv gives up on a stalled answer, but not on a slow or endless one."""


class UvResolver:
    """Resolves with the uv installed alongside envgen."""

    name = "uv"

    def __init__(self, settings: Settings, packages: Packages) -> None:
        from uv import find_uv_bin

        self._uv = find_uv_bin()
        self._settings = settings
        self._client = packages.client

    def check(self, target: Target) -> None:
        """Accepts every target: uv resolves for any platform."""

    def resolve(self, query: ResolveRequest) -> Resolution:
        while True:
            finished = self._run(query)
            missed = _mapped_in(finished, query)
            if not missed:
                break
            # uv maps only direct requirements; all others come from the default index.
            query = replace(query, requirements=(*query.requirements, *missed))
        if finished.code != 0:
            unwritable = _UNWRITABLE.search(finished.stderr)
            raise self._no_cache(finished.stderr) if unwritable else _failure(finished.stderr, query)
        return Resolution(versions=tuple(sorted(_pins(finished).items())))

    def _run(self, query: ResolveRequest) -> Completed[str]:
        with temp_dir("uv") as work:
            (work / "pyproject.toml").write_text("\n".join(self._project(query)), encoding="utf-8")
            (work / "constraints.txt").write_text("\n".join(query.constraints), encoding="utf-8")
            limit = _SLOWEST * self._client.patience
            try:
                return run(self._command(query), env=self._environment(query), cwd=work, limit=limit)
            except TimeoutError as error:
                raise self._too_slow(limit, query) from error

    def _project(self, query: ResolveRequest) -> Iterator[str]:
        """A project file: the only way to tie a package to one index in uv."""
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
                # uv hides files without an upload time, unless the check is turned off.
                command += [word for name in index.packages for word in ("--exclude-newer-package", f"{name}=false")]
        folder = self._client.folder("default")
        if folder:
            command += ["--no-index", "--find-links", folder.absolute()]
        elif mirror_of(self._settings, "default"):
            # As one word, the value is never read as an option; uv finds the credentials by the name.
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


def _pins(finished: Completed[str]) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in _PIN.findall(finished.stdout)}


def _mapped_in(finished: Completed[str], query: ResolveRequest) -> list[str]:
    """The mapped packages missing from the request that uv resolved from the default index, or failed to find there."""
    direct = {canonicalize_name(Requirement(text).name) for text in query.requirements}
    others = sorted({package for index in query.indexes for package in index.packages} - direct)
    if finished.code == 0:
        return [package for package in others if package in _pins(finished)]
    words = set(re.findall(r"[a-z0-9-]+", finished.stderr.lower()))
    return [package for package in others if package in words]


def _instant(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _failure(stderr: str, query: ResolveRequest) -> ResolutionError:
    """uv's own explanation in the profile's terms, without hints that only apply to uv."""
    lines = [re.sub(r"^\s*(error:|cause:|×|╰─▶|│)\s?", "", line).rstrip() for line in stderr.splitlines()]
    text = "\n".join(_without_hints(line for line in lines if line)) or stderr.strip()
    for uvs, ours in (("you require", "the profile requires"), ("envgen-query", "the profile"), ("your requirements", "its requirements")):
        text = text.replace(uvs, ours)
    text = _name_bounds(text, query)
    where = f"uv, {query.target.slug}"
    if _REFUSED.search(stderr):
        return IndexRefusedError(where, text, hint=credentials_hint("NAME"))
    if _UNREACHABLE.search(stderr):
        return IndexUnavailableError(where, text, hint="check the network, the proxy (HTTPS_PROXY) and the CA (SSL_CERT_FILE)")
    hint = "loosen a requirement of the profile, or move its as_of with: envgen update PROFILE --as-of DATE"
    if "platform tag" in text:
        hint = "ask for a release that has a wheel for this platform, or take the platform out of the profile"
    elif match := _PRERELEASE.search(" ".join(stderr.split())):
        hint = f"{match[1]} has pre-releases: to use one name it, as in {match[1]}=={match[2]}"
    return ResolutionError(where, text, hint=hint)


_FOREIGN = re.compile(r"--[a-z]|exclude-newer|Consider|pyproject|index-strategy|`uv |uv\.|prerelease|pre-release")
"""Matches hints about things that envgen does not have."""

_PRERELEASE = re.compile(r"Pre-releases are available for `?([\w.-]+)`? in the requested range \(e\.g\., ([^)\s]+)\)")


def _without_hints(lines: Iterable[str]) -> Iterator[str]:
    """`lines` without uv's hints that envgen users can't follow; a hint extends to the next one."""
    hint: list[str] = []
    for line in [*lines, "hint:"]:
        if line.lstrip().startswith("hint:"):
            if not _FOREIGN.search(" ".join(hint)):
                yield from hint
            hint = [line]
        elif hint:
            hint.append(line)
        else:
            yield line


def _name_bounds(text: str, query: ResolveRequest) -> str:
    """Names documented bounds in `text` where it blames the profile for them."""
    own = {canonicalize_name(Requirement(entry).name): Requirement(entry).specifier for entry in query.requirements}
    for entry in query.constraints:
        bound = Requirement(entry)
        for uvs in {str(bound.specifier), ",".join(str(part) for part in bound.specifier), entry.removeprefix(bound.name)}:
            if own.get(canonicalize_name(bound.name)) != bound.specifier:
                pattern = rf"the profile depends on {re.escape(bound.name + uvs)}(?![\w.,])"
                text = re.sub(pattern, f"the documented bound is {bound.name}{uvs}", text)
    return text
