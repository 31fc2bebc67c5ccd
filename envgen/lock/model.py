"""The lock of a profile for one target: `Lock`, its bytes, and the digests that tie it to its inputs."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from envgen.core.target import Target
from envgen.core.toml import toml_string
from envgen.lock.notice import Notice
from envgen.sources import LockedModelFiles, Wheel
from envgen.sources.wheel import NOT_PUBLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredBy:
    """A requirement on a locked package, and what requires it: another package, or the profile.

    `requirement` has extras and versions, as in `[grpc]>=1,<2`, or `*` for any.
    """

    name: str
    requirement: str

    @property
    def extras(self) -> tuple[str, ...]:
        inside = self.requirement.partition("]")[0] if self.requirement.startswith("[") else ""
        return tuple(inside[1:].split(",")) if inside else ()

    @property
    def specifier(self) -> SpecifierSet:
        """The required versions. Raises InvalidSpecifier for a forged lock."""
        versions = self.requirement.rpartition("]")[2]
        return SpecifierSet("" if versions == "*" else versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedBound:
    """A documented bound on a package: its constraint set, its requirement, and the document and section it comes from."""

    set_name: str
    requirement: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A locked package: its wheel, its layer, and the reasons for its version."""

    wheel: Wheel
    layer: str
    demands: tuple[RequiredBy, ...]
    bounds: tuple[LockedBound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedIndex:
    """An index other than the default, and the packages that come from it."""

    name: str
    url: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """The model an image is tested with, from a wheel or the hub, its prompt, and the expected answer."""

    source: Wheel | LockedModelFiles
    prompt: str = ""
    expect: str = ""

    @property
    def name(self) -> str:
        """The name used in profiles and by `--model`."""
        if isinstance(self.source, Wheel):
            return f"wheel:{self.source.name}=={self.source.version}"
        return self.source.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A profile resolved for one target. `base`, `installer` and `model` are empty if no image is built for it.

    `model` is also None if the embedded model is used; `cuda` and `driver`, the oldest driver branch that runs it, are empty
    without CUDA. `inputs` is the digest of the profile, its constraint sets and the target.
    """

    profile: str
    description: str
    platform: str
    as_of: dt.datetime
    inputs: str
    python: str
    base: str
    indexes: tuple[LockedIndex, ...]
    env: tuple[tuple[str, str], ...]
    tiers: tuple[str, ...]
    layers: tuple[str, ...]
    installer: Wheel | None
    packages: tuple[Package, ...]
    cuda: str = ""
    driver: str = ""
    model: LockedModel | None = None
    notices: tuple[Notice, ...] = ()

    def package(self, name: str) -> Package | None:
        return next((package for package in self.packages if package.wheel.name == name), None)

    @property
    def target(self) -> Target:
        return Target(python_full=self.python, platform=self.platform)

    @property
    def python_minor(self) -> str:
        return self.target.python

    @property
    def digest(self) -> str:
        """The sha256 of the lock's bytes, as `sha256:<hex>`; images carry it in a label."""
        return digest_of(dump_lock(self))

    @property
    def tag(self) -> str:
        """The default tag of the image."""
        return f"envgen/{self.profile}:{self.target}"

    @property
    def index_urls(self) -> dict[str, str]:
        """The URL of each index by name, except the default."""
        return {index.name: index.url for index in self.indexes}

    @property
    def groups(self) -> dict[str, tuple[Wheel, ...]]:
        """The wheels of each layer group that is not empty, in layer order."""
        groups = {name: tuple(package.wheel for package in self.packages if package.layer == name) for name in self.layers}
        return {name: wheels for name, wheels in groups.items() if wheels}

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels of all packages, excluding installer and model."""
        return tuple(package.wheel for package in self.packages)

    @property
    def fetched(self) -> tuple[Wheel, ...]:
        """All wheels a build fetches from an index: those of the packages, and the installer."""
        return (*self.wheels, self.installer) if self.installer else self.wheels


def digest_of(data: bytes) -> str:
    """The sha256 of `data` as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def input_digest(values: Mapping[str, object]) -> str:
    """The digest of everything that determines a lock, independent of the order and layout of the input files."""
    return digest_of(json.dumps(values, sort_keys=True, default=str, ensure_ascii=True).encode())


def dump_lock(lock: Lock) -> bytes:
    """The bytes of `envgen.lock`: TOML with one entry per line, for readable diffs."""
    body = "\n".join(_body(lock)) + "\n"
    head = (
        f"# Written by `envgen lock {lock.profile}`: do not edit, `envgen lock --check` finds it.\n"
        "version = 1\n"
        f"content = {toml_string(digest_of(body.encode()))}  # of everything below this line\n"
    )
    return (head + body).encode()


def _body(lock: Lock) -> Iterator[str]:
    yield from _pairs(
        inputs=lock.inputs,
        profile=lock.profile,
        description=lock.description,
        target=lock.target.slug,
        platform=lock.platform,
        as_of=lock.as_of,
        python=lock.python,
        base=lock.base,
        **({"cuda": lock.cuda} if lock.cuda else {}),
        **({"driver": f">={lock.driver}"} if lock.driver else {}),
        tiers=list(lock.tiers),
        layers=list(lock.layers),
        env=dict(lock.env),
    )
    for notice in lock.notices:
        yield from ("", "[[notice]]")
        yield from _pairs(kind=notice.kind, package=notice.package, text=notice.text, cure=notice.cure)
    for index in lock.indexes:
        yield from ("", "[[index]]")
        yield from _pairs(name=index.name, url=index.url, packages=list(index.packages))
    if lock.installer:
        yield from ("", "[installer]")
        yield from _wheel(lock.installer)
    if lock.model:
        yield from ("", "[model]")
        yield from _model(lock.model)
    for package in lock.packages:
        yield from ("", "[[package]]")
        yield from _wheel(package.wheel)
        yield from _pairs(layer=package.layer)
        yield from _rows("required_by", [{"name": demand.name, "requirement": demand.requirement} for demand in package.demands])
        rows = [{"set": bound.set_name, "requirement": bound.requirement, "source": bound.source} for bound in package.bounds]
        yield from _rows("bounds", rows)


def _wheel(wheel: Wheel) -> Iterator[str]:
    return _pairs(
        name=wheel.name,
        version=wheel.version,
        file=wheel.file,
        sha256=wheel.sha256,
        size=wheel.size,
        index=wheel.index,
        uploaded=wheel.uploaded or NOT_PUBLISHED,
    )


def _model(model: LockedModel) -> Iterator[str]:
    answers = {"prompt": model.prompt, "expect": model.expect}
    if isinstance(model.source, Wheel):
        yield from _wheel(model.source)
    else:
        yield from _pairs(repo=model.source.repo, commit=model.source.commit)
    yield from _pairs(**{key: text for key, text in answers.items() if text})
    if isinstance(model.source, LockedModelFiles):
        yield from _rows("files", [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in model.source.files])


def _pairs(**values: object) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_value(value)}"


def _rows(key: str, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    if rows:
        yield f"{key} = ["
        yield from (f"    {_value(row)}," for row in rows)
        yield "]"


def _value(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }" if value else "{}"
    return toml_string(str(value))
