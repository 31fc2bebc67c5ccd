"""Computes the files that an image must have: every file of the locked wheels, as the pinned uv installs it.

The result is passed into the image as JSON, where probe/static/files.py compares it with the image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from envgen.core.errors import SmokeError
from envgen.smoke.installed_files import InstalledFile, InstalledWheel, install
from envgen.smoke.launchers import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFile:
    """The contents that a file may have, and whether it is executable.

    There are several contents only if several wheels have the same path: the one installed last wins. `executable` is None if they
    disagree.
    """

    sha256: tuple[str, ...]
    executable: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTree:
    """Everything that wheels install under `prefix`; all paths are relative to it.

    `directories` are those listed in a wheel, which may be empty. Skeleton and byte code are not included: they depend on the base image,
    and the probe derives them.
    """

    prefix: str
    python: str
    site_packages: str
    files: Mapping[str, ExpectedFile]
    directories: tuple[str, ...]
    distributions: Mapping[str, str]

    @property
    def byte_code(self) -> Mapping[str, str]:
        """The sources that the build compiles, each with the path of its byte code; relative paths."""
        suffix, inside = _byte_code_suffix(self.python), f"{self.site_packages}/"
        sources = (PurePosixPath(path) for path in self.files if path.startswith(inside) and path.endswith(".py"))
        return {str(path): str(path.parent / "__pycache__" / f"{path.stem}{suffix}") for path in sources}

    def to_json(self) -> dict[str, object]:
        """The JSON object that the probe reads."""
        return {
            "prefix": self.prefix,
            "python": self.python,
            "site_packages": self.site_packages,
            "files": {path: {"sha256": list(file.sha256), "executable": file.executable} for path, file in self.files.items()},
            "directories": list(self.directories),
            "distributions": dict(self.distributions),
        }


def expected_tree(wheels: Sequence[Path], *, python: str, prefix: str = "/opt/venv") -> ExpectedTree:
    """The files that `wheels` install into an environment at `prefix`, for the full Python version `python`.

    Raises SmokeError for an invalid wheel, or for two wheels of one distribution.
    """
    layout = Layout(prefix=prefix, python=".".join(python.split(".")[:2]))
    installed = sorted((install(wheel, layout) for wheel in wheels), key=lambda wheel: wheel.name)
    distributions: dict[str, str] = {}
    for wheel in installed:
        if wheel.name in distributions:
            raise SmokeError(wheel.name, f"found two wheels, {distributions[wheel.name]} and {wheel.version} (expected one)")
        distributions[wheel.name] = wheel.version
    return ExpectedTree(
        prefix=prefix,
        python=python,
        site_packages=layout.site_packages,
        files=_without_recompiled(_merged(installed), layout),
        directories=tuple(sorted({directory for wheel in installed for directory in wheel.directories})),
        distributions=distributions,
    )


def _merged(wheels: Iterable[InstalledWheel]) -> dict[str, ExpectedFile]:
    """All files by path; those in several wheels with all their contents."""
    files: defaultdict[str, list[InstalledFile]] = defaultdict(list)
    for wheel in wheels:
        for file in wheel.files:
            files[file.path].append(file)
    return {path: _either(files[path]) for path in sorted(files)}


def _either(candidates: Sequence[InstalledFile]) -> ExpectedFile:
    modes = {file.executable for file in candidates}
    return ExpectedFile(
        sha256=tuple(sorted({file.sha256 for file in candidates})),
        executable=modes.pop() if len(modes) == 1 else None,
    )


def _without_recompiled(files: Mapping[str, ExpectedFile], layout: Layout) -> dict[str, ExpectedFile]:
    """Removes byte code that a wheel ships for its own sources: the build recompiles it, and the probe checks it."""
    suffix = _byte_code_suffix(layout.python)

    def is_recompiled(path: str) -> bool:
        file = PurePosixPath(path)
        source = file.parent.parent / f"{file.name.removesuffix(suffix)}.py"
        return file.name.endswith(suffix) and file.parent.name == "__pycache__" and str(source) in files

    return {path: file for path, file in files.items() if not is_recompiled(path)}


def _byte_code_suffix(python: str) -> str:
    """The suffix of byte code files for a Python version, which may differ from the running one."""
    return f".cpython-{''.join(python.split('.')[:2])}.pyc"
