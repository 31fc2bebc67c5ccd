"""What is in the layers of an image: its Python packages, by the METADATA that each has, without running or unpacking anything."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from envgen.oci.archive import Archive, Layer

_METADATA = re.compile(r"(?P<folder>.*/(?:site|dist)-packages)/(?P<info>(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info)/METADATA")
"""Of a package that can be imported: some carry others inside of them, as setuptools does in its folder _vendor."""

_MINOR = re.compile(r"python3\.\d+")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package: the folder it is in, without Python's minor version, its name and version, and the path of its dist-info folder."""

    folder: str
    name: str
    version: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """The packages that a layer brings, and the paths below which it hides everything of the layers under it."""

    packages: tuple[Installed, ...]
    hidden: frozenset[str]


def read_layer(archive: Archive, layer: Layer) -> LayerContents:
    """What is in `layer`; its digests are checked. Raises VerificationError."""
    return layer_contents(member.name for member, _ in archive.files(layer))


def layer_contents(names: Iterable[str]) -> LayerContents:
    """What is in a layer whose entries have these names."""
    packages, hidden = [], set()
    for path in (PurePosixPath("/", name) for name in names):
        if path.name == _OPAQUE:
            hidden.add(str(path.parent))
        elif path.name.startswith(_WHITEOUT):
            hidden.add(f"{path.parent}/{path.name.removeprefix(_WHITEOUT)}")
        elif match := _METADATA.fullmatch(str(path)):
            name = canonicalize_name(match["name"])
            folder = _MINOR.sub("python3", match["folder"])
            packages.append(Installed(folder=folder, name=name, version=match["version"], path=f"{match['folder']}/{match['info']}"))
    return LayerContents(packages=tuple(packages), hidden=frozenset(hidden))


def packages_of(layers: Sequence[LayerContents]) -> dict[tuple[str, str], str]:
    """The packages of an image with these layers, the lowest first: the version of each by folder and name."""
    found: dict[str, Installed] = {}
    for layer in layers:
        found = {path: package for path, package in found.items() if not _is_hidden(path, layer)}
        found.update({package.path: package for package in layer.packages})
    return {(package.folder, package.name): package.version for package in found.values()}


def _is_hidden(path: str, layer: LayerContents) -> bool:
    return not layer.hidden.isdisjoint({f"{path}/METADATA", path, *map(str, PurePosixPath(path).parents)})
