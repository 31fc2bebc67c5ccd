"""Checks that a resolution works before it becomes a lock. One function per check; each yields errors."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.core.errors import ResolutionError, ResolutionErrors
from envgen.core.requirements import marker_holds
from envgen.core.target import Target
from envgen.core.toml import suggestion
from envgen.lock.checks.paths import ComparedPaths
from envgen.lock.model import RequiredBy
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import SelectedWheel, best_wheel, wheel_version, yanked_error
from envgen.profiles import Bound, CudaTable, Profile
from envgen.profiles.cuda import cuda_of_local, runtime_of
from envgen.profiles.pairs import TORCH_FAMILY, PairTable
from envgen.sources import Packages, Wheel

_CUDA_PART = re.compile(r"cuda(\d+x?)?|cu\d{2,3}")
"""Matches a part of a CUDA package's name, as in cuda-bindings, cupy-cuda12x and nvidia-nccl-cu12."""

_NOT_CUDA = frozenset({"nvidia-ml-py"})
"""Has such a name, but needs only the driver, and reports if it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A resolution and everything needed to check it: wheels, demands, bounds, paths, tables, and access to the indexes."""

    profile: Profile
    target: Target
    query: ResolveRequest
    chosen: tuple[SelectedWheel, ...]
    demands: Mapping[str, tuple[RequiredBy, ...]]
    bounds: tuple[Bound, ...]
    packages: Packages
    pairs: PairTable
    toolkit: CudaTable
    paths: ComparedPaths

    def entry(self, name: str) -> SelectedWheel | None:
        return next((entry for entry in self.chosen if entry.wheel.name == name), None)

    def asked(self, name: str) -> tuple[RequiredBy, ...]:
        """The profile's own demands on a package."""
        return tuple(demand for demand in self.demands.get(name, ()) if demand.name == self.profile.name)

    def askers(self, name: str, what: str = "it") -> str:
        """Describes who requires a package, naming the first few."""
        names = list(dict.fromkeys(demand.name for demand in self.demands.get(name, ())))
        if self.profile.name in names:
            return f"the profile asks for {what}"
        return f"{_listed(names, 'other')} {'asks' if len(names) == 1 else 'ask'} for {what}"

    def error(self, subject: str, problem: str, hint: str) -> ResolutionError:
        return ResolutionError(f"{self.target.slug}: {subject}", problem, hint=hint)


def refuse(resolved: Resolved) -> None:
    """Raises ResolutionError, or ResolutionErrors, with all faults of `resolved`."""
    faults = tuple(fault for check in CHECKS for fault in check(resolved))
    if faults:
        raise faults[0] if len(faults) == 1 else ResolutionErrors(faults)


def cuda_without_cuda(resolved: Resolved) -> Iterator[ResolutionError]:
    """CUDA packages in a profile without `cuda`."""
    matches = [] if resolved.profile.cuda else cuda_packages(resolved.chosen, resolved.target)
    torch = next((entry for entry in matches if entry.wheel.name in TORCH_FAMILY), None)
    if torch is not None:
        names = [entry.wheel.name for entry in matches if entry is not torch]
        others = f"; with it come{'s' if len(names) == 1 else ''} {_listed(names, 'other package of CUDA')}" if names else ""
        cuda = _cuda_of(resolved.chosen)
        build = f"is built for CUDA{f' {cuda}' if cuda else ''}"
        problem = f"{torch.wheel.version} of the index {torch.wheel.index} {build}, and the profile has no cuda{others}"
        yield resolved.error(torch.wheel.name, f"{problem} ({resolved.askers(torch.wheel.name)})", _torch_cure(resolved, torch, cuda))
        return
    for entry in matches:
        name = entry.wheel.name
        problem = f"{entry.wheel.version} is a package of CUDA, and the profile has no cuda ({resolved.askers(name)})"
        demands = resolved.asked(name)
        cure = f"remove {name} from requirements, or " if demands else f"ask for what needs no {name}, or "
        yield resolved.error(name, problem, f'{cure}name the CUDA in the profile, as in cuda = "13.0"')


def cuda_packages(chosen: Sequence[SelectedWheel], target: Target) -> list[SelectedWheel]:
    """The wheels in `chosen` for CUDA: by name, by local version, or by what torch's metadata requires on `target`."""
    matches = [entry for entry in chosen if _is_cuda(entry.wheel) or _needs_cuda(entry, target)]
    if any(entry.wheel.name == "torch" for entry in matches):
        matches += [entry for entry in chosen if entry.wheel.name == "triton" and entry not in matches]
    return matches


def _is_cuda(wheel: Wheel) -> bool:
    return is_cuda_name(wheel.name) or bool(cuda_of_local(wheel.version))


def is_cuda_name(name: str) -> bool:
    """Whether a package is for CUDA, by its name alone."""
    parts = name.split("-")
    return name not in _NOT_CUDA and (parts[0] == "nvidia" or any(_CUDA_PART.fullmatch(part) for part in parts))


def _needs_cuda(entry: SelectedWheel, target: Target) -> bool:
    return entry.wheel.name == "torch" and any(
        is_cuda_name(canonicalize_name(requirement.name)) and _holds(requirement, target) for requirement in entry.requires
    )


def _holds(requirement: Requirement, target: Target) -> bool:
    try:
        return marker_holds(requirement, {**target.markers(), "extra": ""})
    except InvalidRequirement:
        return False


def _cuda_of(chosen: Sequence[SelectedWheel]) -> str:
    """The CUDA version of a resolution, empty if unknown."""
    return runtime_of((entry.wheel.name, entry.wheel.version) for entry in chosen) or next(
        filter(None, (cuda_of_local(entry.wheel.version) for entry in chosen if entry.wheel.name in TORCH_FAMILY)), ""
    )


def _torch_cure(resolved: Resolved, entry: SelectedWheel, cuda: str) -> str:
    """How to turn the profile into one for GPUs or for CPUs."""
    target, torch = resolved.target, resolved.entry("torch") or entry
    if resolved.toolkit.driver(cuda):
        pinned = any(str(demand.specifier).startswith("==") for demand in resolved.asked("torch"))
        gpu = f'cuda = "{cuda}" in the profile' + (
            "" if pinned else f', and "torch=={Version(torch.wheel.version).public}" in requirements'
        )
    else:
        known = " or ".join(f"{driver.cuda}.x" for driver in resolved.toolkit.drivers)
        gpu = f"ask for a torch that is built for CUDA {known}, and name that CUDA in the profile"
    elsewhere = next((index for index in resolved.profile.indexes if "torch" in index.packages and not index.serves(target)), None)
    if elsewhere is not None:
        cpu = f'add "{target.platform}" to the platforms of [index.{elsewhere.name}]'
    else:
        cpu = 'extends = "cpu-base", which maps torch and its family to PyTorch\'s builds for CPUs'
    return f"for GPUs: {gpu}; for CPUs: {cpu}"


def _listed(names: Sequence[str], other: str) -> str:
    """Lists the first few `names` and counts the rest; `other` is the singular noun for those."""
    shown, more = ", ".join(names[:3]), len(names) - 3
    plural = other.replace("package", "packages") if "package" in other else f"{other}s"
    return f"{shown} and {more} {other if more == 1 else plural}" if more > 0 else shown


def torch_family_of_one_build(resolved: Resolved) -> Iterator[ResolutionError]:
    """Members of torch's family from another build or for another release than torch."""
    torch = resolved.entry("torch")
    for entry in resolved.chosen if torch else ():
        assert torch is not None
        wheel, ours = entry.wheel, torch.wheel
        if wheel.name not in TORCH_FAMILY[1:]:
            continue
        fitting = resolved.pairs.release_for(wheel.name, ours.version)
        if _other_build(entry, torch):
            problem = f"{wheel.version} of the index {wheel.index} is another build than torch {ours.version} of the index {ours.index}"
            hint = f'map {wheel.name} to the index of torch: packages = ["torch", "{wheel.name}"] in [index.{ours.index}]'
            if ours.index == "default":
                hint = f"let {wheel.name} come from the default index as torch does, or map torch to the index {wheel.index} too"
            yield resolved.error(wheel.name, problem, hint)
        built = resolved.pairs.build(wheel.name, wheel.version)
        if built and not names_torch(entry) and not SpecifierSet(built.torch).contains(ours.version, prereleases=True):
            problem = f"{wheel.version} is built for torch{built.torch}, and torch is {ours.version} ({built.source})"
            hint = f'ask for "{wheel.name}=={fitting}"' if fitting else f'ask for another torch: "torch{built.torch}"'
            yield resolved.error(wheel.name, problem, hint)


def _other_build(entry: SelectedWheel, torch: SelectedWheel) -> bool:
    """Whether two wheels of the family are different builds: by local version, or by index if one has none."""
    ours, theirs = (Version(selected.wheel.version).local for selected in (entry, torch))
    same_index = entry.wheel.index == torch.wheel.index
    return ours != theirs and not (same_index and None in (ours, theirs))


def names_torch(entry: SelectedWheel) -> bool:
    """Whether a wheel's own metadata bounds torch: the resolver has already honoured that."""
    return any(requirement.name == "torch" and str(requirement.specifier) for requirement in entry.requires)


def one_flavour_of_a_version(resolved: Resolved) -> Iterator[ResolutionError]:
    """Versions with a local part that was not requested, if the index has other builds of the same release."""
    for entry in resolved.chosen:
        version = Version(entry.wheel.version)
        if version.local is None or (resolved.profile.cuda and cuda_of_local(entry.wheel.version) == resolved.profile.cuda):
            continue
        specifiers = [demand.specifier for demand in resolved.demands[entry.wheel.name]]
        builds = [build for build in _builds(entry, resolved) if all(part.contains(build, prereleases=True) for part in specifiers)]
        if len(builds) > 1:
            name, shown = entry.wheel.name, ", ".join(map(str, builds))
            problem = f"{version.public} fits {len(builds)} builds in the index {entry.wheel.index}, and nothing says which: {shown}"
            named = next(build for build in builds if build.local)
            yield resolved.error(name, problem, f'name one in the profile, as in "{name}=={named}"')


def _builds(entry: SelectedWheel, resolved: Resolved) -> list[Version]:
    """All builds of the release of `entry` that have a wheel for the target."""
    files, release = resolved.packages.files(entry.wheel.index, entry.wheel.name), Version(entry.wheel.version).public
    # Most of a page is other releases, and parsing full file names is slow.
    near = [file for file in files if _release_of(file.filename) == release]
    versions = sorted({version for file in near if (version := wheel_version(file))})
    return [version for version in versions if best_wheel(near, version, resolved.target.tag_ranks)]


def _release_of(filename: str) -> str:
    try:
        return Version(filename.partition("-")[2].partition("-")[0]).public
    except InvalidVersion:
        return ""


def no_path_written_twice(resolved: Resolved) -> Iterator[ResolutionError]:
    """Wheels that write the same path with different bytes: the last one installed breaks the other."""
    for conflict in resolved.paths.conflicts:
        names = (conflict.first, conflict.second)
        first, second = (entry.wheel for name in names if (entry := resolved.entry(name)))
        more = f" and {len(conflict.paths) - 1} other{'s' if len(conflict.paths) > 2 else ''}" if len(conflict.paths) > 1 else ""
        problem = f"{first.name} {first.version} and {second.name} {second.version} both write {conflict.paths[0]}{more}, with other bytes"
        direct = [name for name in names if resolved.asked(name)]
        if len(direct) == 1:
            other = names[1] if direct[0] == names[0] else names[0]
            hint = f"remove {direct[0]} from requirements: {resolved.askers(other, other)}"
        else:
            words = (resolved.askers(name, name) for name in names)
            hint = f"keep one of the two, or ask for releases that don't share it ({'; '.join(words)})"
        yield resolved.error(first.name, problem, hint)


def extras_exist(resolved: Resolved) -> Iterator[ResolutionError]:
    """Extras that the profile itself requires and the chosen release lacks."""
    for entry, demand, extra in missing_extras(resolved):
        if demand.name == resolved.profile.name:
            name, known = entry.wheel.name, tuple(sorted(entry.extras))
            problem = f"{entry.wheel.version} has no extra {extra!r}"
            hint = suggestion(extra, known) or f"it has no extras at all: ask for {name} alone"
            yield resolved.error(f"{name}[{extra}]", problem, hint)


def missing_extras(resolved: Resolved) -> Iterator[tuple[SelectedWheel, RequiredBy, str]]:
    """Each required extra that the chosen release lacks, with the demand."""
    for entry in resolved.chosen:
        for demand in resolved.demands[entry.wheel.name]:
            yield from ((entry, demand, extra) for extra in demand.extras if canonicalize_name(extra) not in entry.extras)


def nothing_yanked(resolved: Resolved) -> Iterator[ResolutionError]:
    """Yanked releases and files: resolvers use them if pinned exactly."""
    for entry in resolved.chosen:
        if entry.file is not None and entry.file.yanked:
            error = yanked_error(entry.file, entry.wheel, resolved.query, resolved.packages)
            name = entry.wheel.name
            yield error if resolved.asked(name) else resolved.error(name, f"{error.problem} ({resolved.askers(name)})", error.hint)


CHECKS: tuple[Callable[[Resolved], Iterator[ResolutionError]], ...] = (
    cuda_without_cuda,
    torch_family_of_one_build,
    one_flavour_of_a_version,
    no_path_written_twice,
    extras_exist,
    nothing_yanked,
)
