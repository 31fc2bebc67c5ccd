"""Small wheels and profiles of our own, for tests that are about envgen and not about the packages."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import shutil
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from command import Done, envgen

AS_OF = "2026-09-22"
BEFORE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
AFTER = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
ALPHA, BETA, GAMMA = (f"envgen-tiny-{name}" for name in ("alpha", "beta", "gamma"))
ORIGIN = "https://packages.example/simple"
"""Where the wheels would come from; tests name a mirror for it."""


def module_of(name: str) -> str:
    return name.replace("-", "_")


def wheel_name(name: str, version: str = "1.0", tag: str = "py3-none-any") -> str:
    return f"{module_of(name)}-{version}-{tag}.whl"


def make_wheel(
    index: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    uploaded: dt.datetime = BEFORE,
    padding: int = 0,
    tag: str = "py3-none-any",
    others: Mapping[str, bytes] | None = None,
) -> Path:
    """Put a wheel into the folder of an index; the server gives its time as the time of upload. `others` are more files in it."""
    info = f"{module_of(name)}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {text}" for text in requires)]
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    files = {
        f"{module_of(name)}/__init__.py": f"VERSION = {version!r}\n".encode(),
        f"{module_of(name)}/data.bin": hashlib.shake_128(name.encode()).digest(padding),
        f"{info}/METADATA": ("\n".join(metadata) + "\n").encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: envgen-tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        **(others or {}),
    }
    rows = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    (index / name).mkdir(parents=True, exist_ok=True)
    target = index / name / wheel_name(name, version, tag)
    with zipfile.ZipFile(target, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    os.utime(target, (uploaded.timestamp(), uploaded.timestamp()))
    return target


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def fill_index(folder: Path) -> Path:
    """An index of three packages: alpha wants beta, of which a newer release came after `AS_OF`; gamma stands alone."""
    make_wheel(folder, ALPHA, requires=[f"{BETA}>=1"])
    make_wheel(folder, BETA)
    make_wheel(folder, BETA, "2.0", uploaded=AFTER)
    make_wheel(folder, GAMMA, padding=300_000)
    return folder


def locked_base() -> tuple[str, str]:
    """The base of the shipped profile, and the full version of its Python."""
    from envgen.profiles.catalog import shipped

    python = tomllib.loads((shipped() / "profiles" / "cpu-base.toml").read_text())["python"]["3.11"]
    return python["base"], python["full"]


def write_profile(
    project: Path,
    name: str = "tiny",
    *,
    requirements: Sequence[str] = (ALPHA, BETA, GAMMA),
    base: str = "",
    full: str = "",
    own_index: bool = False,
) -> Path:
    """A profile of tiny wheels: lock only unless it has a base; from the default index unless it has its own."""
    lines = [
        "# A profile for tests.",
        'description = "Tiny wheels"   # what it is',
        f"as_of       = {AS_OF}      # never a local date",
        "constraints = []",
        'installer   = "uv==0.12.17"',
        "requirements = [",
        *(f'    "{text}",' for text in requirements),
        "]",
        'platforms = ["linux/amd64"]',
        "",
        '[python."3.11"]',
        f'full = "{full or locked_base()[1]}"    # decides markers',
        *([f'base = "{base}"'] if base else []),
        *(["", "[index.tiny]", f'url = "{ORIGIN}"', f'packages = ["{ALPHA}", "{BETA}", "{GAMMA}"]'] if own_index else []),
        "",
        "[smoke]",
        'tiers = ["static"]   # no model, no torch',
    ]
    path = project / "profiles" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True, kw_only=True)
class Site:
    """A project folder and the variables that go with it."""

    project: Path
    env: Mapping[str, str]

    @property
    def store(self) -> Path:
        return Path(self.env["ENVGEN_CACHE"]) / "wheels"

    def envgen(self, *arguments: str, **env: str) -> Done:
        return envgen(*arguments, cwd=self.project, env={**self.env, **env})

    def locks(self) -> dict[str, bytes]:
        """Every file below `locks/`, whatever its name: what must not change when a command fails."""
        root = self.project / "locks"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    def kept(self) -> list[str]:
        """The whole wheels in the store."""
        return sorted(path.name for path in self.store.glob("[0-9a-f]*/*.whl"))

    def forget(self) -> None:
        """Take the tiny wheels out of the store; the large installer stays."""
        for path in self.store.glob("[0-9a-f]*/envgen_tiny_*.whl"):
            path.unlink()

    def copy(self, target: Path) -> Site:
        """The same project elsewhere, with a store of its own that shares the files of this one."""
        shutil.copytree(self.project, target / "project")
        shutil.copytree(self.store, target / "cache" / "wheels", copy_function=os.link, ignore=shutil.ignore_patterns(".partial"))
        return Site(project=target / "project", env={**self.env, "ENVGEN_CACHE": str(target / "cache")})


def base_arguments() -> list[str]:
    """What a build says where the locked base can't be pulled."""
    stand_in = os.environ.get("ENVGEN_TEST_BASE")
    return ["--base", stand_in] if stand_in else []


def base_name() -> str:
    """A base that an engine here can run: the stand-in, or the locked one."""
    return os.environ.get("ENVGEN_TEST_BASE") or locked_base()[0]
