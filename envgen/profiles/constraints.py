"""Constraint sets: documented version bounds, each with its document and section, read from TOML."""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from envgen.core.requirements import PACKAGE_NAME
from envgen.core.toml import Faults, Table

ROLES = ("required", "core", "system", "optional", "quantization")
"""What a bound is for: Python itself, the core, the system packages, and what only some environments want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one document says of one package; `requirement` is empty where it is named without a bound.

    `refused` says why no index has it in a form that can be locked, and `cure` what to do instead; both are empty for most.
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


def read_constraints(name: str, data: Mapping[str, object], label: str) -> tuple[Bound, ...]:
    """The bounds of the constraint set `name`, in the order of its file.

    Raises ProfileError, or ProfileErrors, with each fault's place in the file called `label`.
    """
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    bounds = [_read_bound(name, inner) for inner in table.array_of_tables("bound")]
    table.close()
    by_package: dict[str, SpecifierSet] = {}
    for position, bound in enumerate(bounds):
        joined = by_package.get(bound.package, SpecifierSet()) & SpecifierSet(bound.requirement)
        by_package[bound.package] = joined
        if is_unsatisfiable(joined):
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


def specifier(bounds: tuple[Bound, ...], package: str) -> SpecifierSet:
    """All bounds on `package` together: where documents differ, the stricter holds."""
    joined = SpecifierSet()
    for bound in bounds:
        if bound.package == package:
            joined &= SpecifierSet(bound.requirement)
    return joined


def is_unsatisfiable(specifiers: SpecifierSet) -> bool:
    """Whether no version at all satisfies `specifiers`."""
    return specifiers.is_unsatisfiable()
