"""What the documents have against a profile: a Python below their floor, a package that no index has as a wheel."""

from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from envgen.core.toml import Faults, join_path
from envgen.profiles.constraints import Bound, is_unsatisfiable
from envgen.profiles.model import Profile


def check_python_floor(profile: Profile, floor: str, source: str) -> None:
    """Every Python of `profile` must satisfy the documented bound `floor`, e.g. `>=3.10`, found in `source`.

    Raises ProfileError, or ProfileErrors.
    """
    faults = Faults(profile.origin)
    allowed = [f"3.{minor}" for minor in range(9, 15) if SpecifierSet(floor).contains(f"3.{minor}.0")]
    for python in profile.pythons:
        try:
            fits = Version(python.full) in SpecifierSet(floor)
        except InvalidVersion:
            fits = False
        if not fits:
            problem = f"not supported: the documented floor is {floor}\n({source})"
            faults.add(join_path("python", python.version), problem, f"use one of {', '.join(allowed)}")
    faults.raise_any()


def check_within(profile: Profile, bounds: Sequence[Bound]) -> None:
    """No requirement of `profile` may rule out all that a documented bound admits. Raises ProfileError, or ProfileErrors."""
    faults = Faults(profile.origin)
    for requirement in map(Requirement, profile.requirements):
        for bound in bounds:
            if bound.package == requirement.name and is_unsatisfiable(requirement.specifier & SpecifierSet(bound.requirement)):
                problem = f"found '{requirement}', but the documented bound is {bound.requirement}\n({bound.source})"
                faults.add("requirements", problem, "ask for a version within it, or leave the constraint set out")
    faults.raise_any()


def check_refused(profile: Profile, bounds: Sequence[Bound]) -> None:
    """No requirement of `profile` may be one that `bounds` refuse, unless an index of the user's own is mapped to it.

    Raises ProfileError, or ProfileErrors.
    """
    faults = Faults(profile.origin)
    mapped = {package for index in profile.indexes for package in index.packages}
    refused = {bound.package: bound for bound in bounds if bound.refused}
    for text in profile.requirements:
        name = Requirement(text).name
        if name in refused and name not in mapped:
            bound = refused[name]
            faults.add("requirements", f"found {text!r}, which can't be locked: {bound.refused}\n({bound.source})", bound.cure)
    faults.raise_any()
