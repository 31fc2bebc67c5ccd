"""CUDA versions: the driver each one needs, and the index with matching builds of torch."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from envgen.core.errors import ProfileError
from envgen.core.requirements import exact_version
from envgen.core.target import Target
from envgen.core.toml import Faults, Table, suggestion
from envgen.profiles.model import Index, Profile
from envgen.profiles.pairs import TORCH_FAMILY

_LOCAL = re.compile(r"cu(\d{2,3})")
_RUNTIME = re.compile(r"nvidia-cuda-runtime(-cu\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The oldest driver branch that runs every release of a CUDA major version."""

    cuda: str
    floor: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The CUDA version of the default index's torch, by release and platform."""

    releases: str
    cuda: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaTable:
    """The table of CUDA drivers and builds; `index` is the URL of PyTorch's builds, with {tag} for the CUDA version."""

    index: str
    drivers: tuple[Driver, ...]
    builds: tuple[Build, ...]

    def driver(self, cuda: str) -> Driver | None:
        """The driver for a CUDA version such as `12.8`, or None if unknown."""
        return next((driver for driver in self.drivers if driver.cuda == cuda.partition(".")[0]), None)

    def default(self, torch: str, platform: str) -> str:
        """The CUDA version of the default index's `torch` on `platform`, empty if it has none or is unknown."""
        fitting = (build for build in self.builds if platform in build.platforms)
        return next((build.cuda for build in fitting if SpecifierSet(build.releases).contains(torch)), "")


def read_toolkit(data: Mapping[str, object], label: str) -> CudaTable:
    """Read profiles/toolkits/cuda.toml. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    drivers = tuple(Driver(**_texts(inner, "cuda", "floor", "source")) for inner in table.array_of_tables("driver"))
    builds = tuple(
        Build(platforms=inner.strings("platforms"), **_texts(inner, "releases", "cuda")) for inner in table.array_of_tables("torch")
    )
    toolkit = CudaTable(index=table.require("index", str, ""), drivers=drivers, builds=builds)
    for position, build in enumerate(builds):
        try:
            SpecifierSet(build.releases)
        except InvalidSpecifier:
            faults.add(f"torch[{position}].releases", f"found {build.releases!r}, expected version bounds", 'as in ">=2.11,<2.15"')
    table.close()
    faults.raise_any()
    return toolkit


def _texts(table: Table, *keys: str) -> dict[str, str]:
    texts = {key: table.require(key, str, "") for key in keys}
    table.close()
    return texts


def with_cuda(profile: Profile, toolkit: CudaTable) -> Profile:
    """Resolve the `cuda` of `profile`: set its driver floor, and add PyTorch's index unless the default one has that build.

    Raises ProfileError.
    """
    where = f"{profile.origin('cuda')}: cuda"
    others = [platform for platform in profile.platforms if not platform.startswith("linux/")]
    if others:
        hint = 'platforms = ["linux/amd64", "linux/arm64"] in the profile with cuda; keep the others in one without'
        raise ProfileError(where, f"{', '.join(others)}: no CUDA there, expected linux alone", hint=hint)
    driver = toolkit.driver(profile.cuda)
    if driver is None:
        known = tuple(f"{entry.cuda}.x" for entry in toolkit.drivers)
        raise ProfileError(where, f"found {profile.cuda!r}, whose driver floor is not known", hint=suggestion(profile.cuda, known))
    profile = _without_local(profile)
    releases = {target: torch_of(profile, target) for target in profile.targets()}
    without = [target.slug for target, torch in releases.items() if not torch]
    if without:
        where_not = "" if len(without) == len(releases) else f" on {', '.join(without)}"
        problem = f"needs an exact version of torch{where_not}: which CUDA an index has depends on it"
        raise ProfileError(where, problem, hint='as in "torch==2.13.0"')
    _check_local(profile, releases.values())
    profile = replace(profile, driver=driver.floor)
    mapped = next((index for index in profile.indexes if "torch" in index.packages), None)
    if mapped is not None:
        file = profile.origin(f"index.{mapped.name}")
        problem = f"torch is mapped to the index {mapped.name} ({file}), so {profile.cuda!r} can't choose where it comes from"
        raise ProfileError(where, problem, hint=f"take the mapping away: add {mapped.name} = false to [index], or take cuda away")
    lacking = {target.platform for target, torch in releases.items() if toolkit.default(torch, target.platform) != profile.cuda}
    elsewhere = tuple(platform for platform in profile.platforms if platform in lacking)
    if not elsewhere:
        return profile
    url = toolkit.index.replace("{tag}", _tag(profile.cuda))
    # The family must come from one build; packages the profile maps itself are left alone.
    packages = tuple(package for package in TORCH_FAMILY if not any(package in index.packages for index in profile.indexes))
    name = index_name(profile.cuda)
    index = Index(name=name, url=url, packages=packages, platforms=elsewhere, upload_times=False, public=("*",))
    return replace(profile, indexes=tuple(sorted((*profile.indexes, index), key=lambda entry: entry.name)))


def _without_local(profile: Profile) -> Profile:
    """Drop the local version of torch where it matches `cuda`, which selects the build: `2.7.0+cu126` becomes `2.7.0`."""
    local = f"+{_tag(profile.cuda)}"

    def without(text: str) -> str:
        return text.replace(local, "") if Requirement(text).name == "torch" else text

    return replace(
        profile,
        requirements=tuple(map(without, profile.requirements)),
        own=tuple(map(without, profile.own)),
        entries=tuple(replace(entry, text=without(entry.text)) for entry in profile.entries),
    )


def _check_local(profile: Profile, releases: Iterable[str]) -> None:
    """Raise ProfileError if torch is pinned to a build for another CUDA."""
    for torch in releases:
        release, _, local = torch.partition("+")
        if local:
            text = next(text for text in profile.requirements if Requirement(text).name == "torch" and torch in text)
            problem = f"found {text!r} beside cuda = {profile.cuda!r}, whose builds are called +{_tag(profile.cuda)}"
            hint = f'name the release alone, as in "torch=={release}": cuda chooses its build'
            raise ProfileError(f"{profile.file_of(text)}: requirements", problem, hint=hint)


def torch_of(profile: Profile, target: Target) -> str:
    """The exact version of torch that `profile` requires on `target`, empty if it has none."""
    requirements = (Requirement(text) for text in profile.for_target(target).requirements)
    return next((version for requirement in requirements if requirement.name == "torch" and (version := exact_version(requirement))), "")


def index_name(cuda: str) -> str:
    """The name of the index added by `with_cuda`."""
    return f"pytorch-{_tag(cuda)}"


def cuda_of_local(version: str) -> str:
    """The CUDA version in a local version: `12.8` for `2.8.0+cu128`, empty if there is none."""
    parts = version.partition("+")[2].split(".")
    digits = next((match[1] for part in parts if (match := _LOCAL.fullmatch(part))), "")
    # cu128 is 12.8 and cu92 is 9.2, but cu12 is any 12.x.
    return f"{digits[:-1]}.{digits[-1]}" if len(digits) == 3 or digits[:1] in ("8", "9") else digits


def _tag(cuda: str) -> str:
    return f"cu{cuda.replace('.', '')}"


def runtime_of(versions: Iterable[tuple[str, str]]) -> str:
    """The version of the CUDA runtime, such as `13.0`, among resolved names and versions; empty if there is none."""
    runtimes = (version for name, version in versions if _RUNTIME.fullmatch(name))
    return ".".join(next(runtimes, "").split(".")[:2])
