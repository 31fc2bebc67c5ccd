"""The target of a lock: one Python on one operating system and architecture.

The host is never consulted: everything here follows from the fields of a `Target`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from packaging import tags

PLATFORMS = ("linux/amd64", "linux/arm64", "macos/arm64", "windows/amd64")
"""The platforms a profile may name, as OS/ARCHITECTURE."""

DEFAULT_GLIBC = "2.28"
"""The oldest glibc that an image supports: that of RHEL 8, which torch's own wheels require."""

DEFAULT_MACOS = "14.0"
"""The oldest macOS that a lock supports; torch 2.13 has no wheel for an older one."""

_MACHINES = {
    "linux/amd64": ("posix", "linux", "Linux", "x86_64"),
    "linux/arm64": ("posix", "linux", "Linux", "aarch64"),
    "macos/arm64": ("posix", "darwin", "Darwin", "arm64"),
    "windows/amd64": ("nt", "win32", "Windows", "AMD64"),
}
_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One Python (its full version) × OS × architecture."""

    python_full: str
    platform: str
    glibc: str = DEFAULT_GLIBC
    macos: str = DEFAULT_MACOS

    @property
    def python(self) -> str:
        """The minor version, e.g. `3.11`."""
        return ".".join(self.python_full.split(".")[:2])

    @property
    def slug(self) -> str:
        """The folder name of this target's lock, e.g. `py311-linux-amd64`."""
        return f"py{self.python.replace('.', '')}-{self.platform.replace('/', '-')}"

    def __str__(self) -> str:
        return self.slug

    @property
    def is_linux(self) -> bool:
        return self.platform.startswith("linux/")

    @property
    def uv_platform(self) -> str:
        """The value of uv's `--python-platform`."""
        if self.is_linux:
            return f"{self._machine}-manylinux_{self.glibc.replace('.', '_')}"
        return {"macos/arm64": "aarch64-apple-darwin", "windows/amd64": "x86_64-pc-windows-msvc"}[self.platform]

    @property
    def _machine(self) -> str:
        return _MACHINES[self.platform][3]

    def markers(self) -> dict[str, str]:
        """The environment that PEP 508 markers are evaluated in."""
        os_name, sys_platform, system, machine = _MACHINES[self.platform]
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python_full,
            "os_name": os_name,
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": self.python_full,
            "python_version": self.python,
            "sys_platform": sys_platform,
            "extra": "",
        }

    @property
    def tag_ranks(self) -> dict[tags.Tag, int]:
        """The rank of each supported wheel tag, 0 being the best."""
        return {tag: rank for rank, tag in enumerate(self.wheel_tags())}

    def wheel_tags(self) -> tuple[tags.Tag, ...]:
        """All supported wheel tags, best first."""
        major, minor = (int(part) for part in self.python.split("."))
        interpreter = f"cp{major}{minor}"
        platforms = list(self._wheel_platforms())
        return (
            *tags.cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *tags.compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
        )

    def _wheel_platforms(self) -> Iterator[str]:
        if self.platform == "windows/amd64":
            yield "win_amd64"
        elif self.platform == "macos/arm64":
            major, minor = (int(part) for part in self.macos.split("."))
            yield from tags.mac_platforms((major, minor), "arm64")
        else:
            # Not packaging's own list, which depends on the host's glibc.
            floor = 5 if self._machine == "x86_64" else 17
            for minor in range(int(self.glibc.split(".")[1]), floor - 1, -1):
                yield f"manylinux_2_{minor}_{self._machine}"
                if minor in _LEGACY_MANYLINUX:
                    yield f"{_LEGACY_MANYLINUX[minor]}_{self._machine}"
            yield f"linux_{self._machine}"
