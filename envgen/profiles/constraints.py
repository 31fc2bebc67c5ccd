"""Constraint sets: read documented version bounds from TOML, and check profiles against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.core.requirements import PACKAGE_NAME
from envgen.core.toml import Faults, Table, join_path
from envgen.profiles.model import Profile

ROLES = ("required", "core", "system", "optional", "quantization")
"""The roles a bound can have: Python itself, core, system and optional packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One document's bound on one package; `requirement` is empty if the package is named without a bound.

    `refused` is why the package can't be locked, and `cure` what to do instead; both are usually empty.
    """

    set_name: str
    package: str
    requirement: str
    role: str
    document: str
    section: str
    note: str = ""
    refused: str = ""
    cure: str = ""

    @property
    def source(self) -> str:
        return f"{self.document}, {self.section}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that bounds cite by `name`: its title, and the page it is drawn from (empty if unknown)."""

    name: str
    title: str
    about: str


def read_documents(data: Mapping[str, object], label: str) -> tuple[Document, ...]:
    """Read the documents of a constraint set. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    found = _documents(Table(data, faults))
    faults.raise_any()
    return found


def _documents(table: Table) -> tuple[Document, ...]:
    documents = []
    for name, inner in table.table("documents").each():
        documents.append(Document(name=name, title=inner.require("title", str, ""), about=inner.get("about", str, "")))
        inner.close()
    return tuple(documents)


def read_constraints(name: str, data: Mapping[str, object], label: str) -> tuple[Bound, ...]:
    """Read the bounds of the constraint set `name`, in file order.

    Raises ProfileError or ProfileErrors, which locate each fault in the file `label`.
    """
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    _documents(table)
    bounds = [_read_bound(name, inner) for inner in table.array_of_tables("bound")]
    table.close()
    by_package: dict[str, SpecifierSet] = {}
    for position, bound in enumerate(bounds):
        joined = by_package.get(bound.package, SpecifierSet()) & SpecifierSet(bound.requirement)
        by_package[bound.package] = joined
        if joined.is_unsatisfiable():
            hint = f"loosen it, or another entry for {bound.package}: all of them hold together"
            faults.add(f"bound[{position}].requirement", f"no version of {bound.package} can satisfy {joined}", hint)
    faults.raise_any()
    return tuple(bounds)


def _read_bound(name: str, table: Table) -> Bound:
    requirement = table.require("requirement", str, "")
    role = table.require("role", str, ROLES[0])
    try:
        SpecifierSet(requirement)
        if not requirement.isprintable():
            raise InvalidSpecifier(requirement)
    except InvalidSpecifier:
        table.fault("requirement", f"found {requirement!r}, expected version bounds", 'as in ">=2.2,<3"')
        requirement = ""
    if role not in ROLES:
        table.fault("role", f"found {role!r}, expected one of {', '.join(ROLES)}")
    package = table.require("package", str, "")
    if package and not PACKAGE_NAME.fullmatch(package):
        table.fault("package", f"found {package!r}, expected a package's name")
    bound = Bound(
        set_name=name,
        package=canonicalize_name(package),
        requirement=requirement,
        role=role,
        document=table.require("document", str, ""),
        section=table.require("section", str, ""),
        note=table.get("note", str, ""),
        refused=table.get("refused", str, ""),
        cure=table.get("cure", str, ""),
    )
    table.close()
    return bound


def check_profile(profile: Profile, bounds: Sequence[Bound]) -> None:
    """Check the Pythons and requirements of `profile` against `bounds`.

    Raises ProfileError or ProfileErrors.
    """
    for bound in bounds:
        if bound.package == "python":
            _check_pythons(profile, bound.requirement, bound.source)
    _check_refused(profile, bounds)
    _check_requirements(profile, bounds)


def _check_pythons(profile: Profile, floor: str, source: str) -> None:
    """Check that every Python of `profile` satisfies `floor`, e.g. `>=3.10`, which `source` documents.

    Raises ProfileError or ProfileErrors.
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


def _check_requirements(profile: Profile, bounds: Sequence[Bound]) -> None:
    """Check that every requirement of `profile` is compatible with its bound. Raises ProfileError or ProfileErrors."""
    faults = Faults(profile.origin)
    for text in profile.requirements:
        requirement = Requirement(text)
        for bound in bounds:
            if bound.package == requirement.name and (requirement.specifier & SpecifierSet(bound.requirement)).is_unsatisfiable():
                problem = f"found '{requirement}', but the documented bound is {bound.requirement}\n({bound.source})"
                faults.within(profile.file_of(text)).add(
                    "requirements", problem, "ask for a version within it, or leave the constraint set out"
                )
    faults.raise_any()


def _check_refused(profile: Profile, bounds: Sequence[Bound]) -> None:
    """Check that `profile` requires no refused package, unless it maps an index to it.

    Raises ProfileError or ProfileErrors.
    """
    faults = Faults(profile.origin)
    mapped = {package for index in profile.indexes for package in index.packages}
    refused = {bound.package: bound for bound in bounds if bound.refused}
    for text in profile.requirements:
        name = Requirement(text).name
        if name in refused and name not in mapped:
            bound = refused[name]
            problem = f"found {text!r}, which can't be locked: {bound.refused}\n({bound.source})"
            faults.within(profile.file_of(text)).add("requirements", problem, bound.cure)
    faults.raise_any()
