"""The alternative resolver: pip-tools, which resolves with pip. It sees the indexes only through a `DatedIndexServer`."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from packaging.utils import canonicalize_name

from envgen.core.errors import ResolutionError, UsageError
from envgen.core.process import Completed, run
from envgen.core.settings import Settings
from envgen.core.target import Target
from envgen.core.tempdirs import temp_dir
from envgen.lock.resolvers import Resolution, ResolveRequest, piptools_main
from envgen.lock.resolvers.dated_index import DatedIndex, DatedIndexServer, serve
from envgen.sources import Packages

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)===?([^\s;]+)", re.MULTILINE)
_CONFLICT = "The conflict is caused by:"
_ERROR = re.compile(r"^\s*ERROR: (.*)", re.MULTILINE)
_LONG_LIST = re.compile(r"((?:from versions|different python version): ).*?((?:[^,;]*[,;] ){4}[^,;]*)$")
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class PipToolsResolver:
    """Resolves with the pip-tools and pip installed alongside envgen."""

    name = "pip-tools"

    def __init__(self, settings: Settings, packages: Packages) -> None:
        self._settings = settings
        self._packages = packages

    def check(self, target: Target) -> None:
        system = _SYSTEMS.get(sys.platform, sys.platform)
        machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
        host = f"py{sys.version_info[0]}{sys.version_info[1]}-{system}-{machine}"
        if target.slug != host:
            raise UsageError(
                "--resolver pip-tools", f"found the target {target.slug}, expected {host}: pip resolves for its own machine alone",
                hint=f"give --target {host}, or lock it with uv: envgen lock PROFILE --target {target.slug} --resolver uv",
            )  # fmt: skip

    def resolve(self, query: ResolveRequest) -> Resolution:
        index = DatedIndex(query=query, packages=self._packages)
        with temp_dir("pip-tools") as work, serve(index) as view:
            (work / "requirements.in").write_text("\n".join(query.requirements), encoding="utf-8")
            (work / "constraints.txt").write_text("\n".join(query.constraints), encoding="utf-8")
            (work / "target.json").write_text(json.dumps(_about(query.target)), encoding="utf-8")
            finished = run(_command(view), env=self._environment(), cwd=work)
            # A failure of the view is the cause of any error that pip reports.
            if view.failure:
                raise view.failure
            if finished.code != 0:
                raise _failure(finished, query)
            pins = {canonicalize_name(name): version for name, version in _PIN.findall((work / "pins.txt").read_text(encoding="utf-8"))}
        return Resolution(versions=tuple(sorted(pins.items())))

    def _environment(self) -> dict[str, str]:
        """The environment without proxies and pip configuration: pip reaches the view only."""
        environment = self._settings.environment()
        kept = {name: value for name, value in environment.items() if name not in self._settings.network}
        return {**kept, "PIP_CONFIG_FILE": os.devnull, "no_proxy": "127.0.0.1"}


def _command(view: DatedIndexServer) -> list[str | Path]:
    # -P: keep the folder of this package off the import path.
    command: list[str | Path] = [sys.executable, "-P", piptools_main.__file__, "target.json", "requirements.in"]
    command += ["--output-file", "pins.txt", "--constraint", "constraints.txt", "--index-url", view.url, "--no-config"]
    # The cache is removed with the view: pip caches by URL, and the next view may get the same port.
    command += ["--cache-dir", "cache", "--strip-extras", "--no-annotate", "--no-header", "--allow-unsafe"]
    command += ["--no-emit-index-url", "--no-emit-options", "--verbose"]
    # The view itself retries the real index, which may take a while.
    command += ["--pip-args", "--only-binary :all: --retries 0 --timeout 3600 --disable-pip-version-check --no-input"]
    return command


def _about(target: Target) -> dict[str, object]:
    """The input of `piptools_main`."""
    return {
        "markers": target.markers(),
        "tags": [(tag.interpreter, tag.abi, tag.platform) for tag in target.wheel_tags()],
        "python": [int(part) for part in target.python_full.split(".")],
    }


def _failure(finished: Completed[str], query: ResolveRequest) -> ResolutionError:
    """pip's own explanation in the profile's terms, without progress output."""
    where = f"{PipToolsResolver.name}, {query.target.slug}"
    text = "\n".join(_explanation(finished))
    if not text:
        last = "\n".join(finished.stderr.strip().splitlines()[-3:])
        hint = "pip-tools works only with the pip that envgen pins: install envgen again, or lock with --resolver uv"
        return ResolutionError(where, f"pip-tools itself failed with code {finished.code}:\n{last}", hint=hint)
    hint = "loosen a requirement of the profile, or move its as_of with: envgen update PROFILE --as-of DATE"
    return ResolutionError(where, text, hint=hint)


def _explanation(finished: Completed[str]) -> Iterator[str]:
    _, separator, conflict = finished.stdout.partition(_CONFLICT)
    if separator:
        yield "these can't be satisfied together:"
        # A blank line ends it; advice on pip's command line follows.
        for line in takewhile(str.strip, conflict.splitlines()[1:]):
            text = line.strip().replace("The user requested (constraint)", "the constraint sets allow")
            yield "  " + text.replace("The user requested", "the profile requires")
    else:
        errors = [match[1] for match in _ERROR.finditer(finished.stderr)]
        # The last error is the result, the others explain it, except those about yanked versions.
        for error in [*errors[-1:], *errors[:-1]]:
            if "yanked versions" not in error:
                yield _LONG_LIST.sub(r"\1…,\2", error)
