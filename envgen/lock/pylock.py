"""Exports a lock as `pylock.toml` (PEP 751) for other tools. Prints nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from envgen.core.errors import VerificationError
from envgen.core.parallel import map_parallel
from envgen.core.target import Target
from envgen.lock.model import Lock
from envgen.sources import IndexClient, Wheel, WheelStore
from envgen.sources.index import CONNECTIONS

if TYPE_CHECKING:
    from packaging.pylock import PackageWheel

MARKERS = ("sys_platform", "platform_machine", "implementation_name", "python_version")
"""The markers that must match the locked target; another patch release of Python nearly always uses the same wheels."""


def urls_of(lock: Lock, client: IndexClient) -> dict[str, str | Path]:
    """The current URL of each wheel of `lock` in its index, by file name.

    A lock has no URLs, since an index may be replaced by a mirror. Raises ResolutionError for a wheel no longer in its index.
    """

    def url(wheel: Wheel) -> str | Path:
        file = client.find(wheel, lock.profile)
        if file.sha256 not in (None, wheel.sha256):
            problem = f"the index {wheel.index} has sha256 {file.sha256}, the lock {wheel.sha256}"
            raise VerificationError(wheel.file, problem, hint="see what else differs: envgen verify")
        return file.url.partition("#")[0]

    wheels = lock.wheels
    return dict(zip((wheel.file for wheel in wheels), map_parallel(url, wheels, at_once=CONNECTIONS), strict=True))


def paths_of(lock: Lock, store: WheelStore) -> dict[str, str | Path]:
    """The path of each wheel of `lock` in the store, by file name. Raises VerificationError for corrupt or missing wheels."""
    store.verify(lock.wheels)
    return {wheel.file: store.path(wheel.sha256, wheel.file) for wheel in lock.wheels}


def render_pylock(lock: Lock, target: Target, places: Mapping[str, str | Path]) -> str:
    """The text of `pylock.toml`; `places` has the URL or path of each wheel by file name.

    Tools only accept the file names `pylock.toml` and `pylock.NAME.toml`.
    """
    import tomlkit
    from packaging.pylock import Package, Pylock

    environment = target.markers()
    document = Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(" and ".join(f'{name} == "{environment[name]}"' for name in MARKERS))],
        requires_python=SpecifierSet(f"=={target.python}.*"),
        created_by="envgen",
        packages=[
            Package(
                name=NormalizedName(wheel.name),
                version=Version(wheel.version),
                wheels=[_wheel(wheel, places[wheel.file])],
            )
            for wheel in lock.wheels
        ],
    )
    document.validate()
    head = f"# {lock.profile} for {lock.target}, as of {lock.as_of:%Y-%m-%dT%H:%M:%SZ}. Written by `envgen export {lock.profile}`.\n"
    return head + tomlkit.dumps(document.to_dict())


def _wheel(wheel: Wheel, place: str | Path) -> "PackageWheel":
    from packaging.pylock import PackageWheel

    where = {"path": place.as_posix()} if isinstance(place, Path) else {"url": place}
    return PackageWheel(name=wheel.file, upload_time=wheel.uploaded, size=wheel.size, hashes={"sha256": wheel.sha256}, **where)
