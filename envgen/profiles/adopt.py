"""Import requirements for a profile from requirements.txt, pyproject.toml or a conda environment.yml."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import UsageError
from envgen.core.plain_files import read_plain
from envgen.core.requirements import check_marker, exact_version, marker_holds
from envgen.core.text import one_line
from envgen.core.toml import parse_toml
from envgen.profiles.extends import EntriesOnTarget, Entry, another, lay, pinned
from envgen.profiles.model import Profile

CONDA_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "py-opencv": "opencv-python"}
"""Packages whose conda name differs from their name on the Python indexes."""

CONDA_OWN = ("python", "pip", "cudatoolkit", "pytorch-cuda", "cuda", "cudnn", "nccl", "gcc", "gxx", "libgcc", "openblas", "mkl", "blas")
"""Conda packages that wheels bundle or the base provides."""

DIRECT = "a direct URL has no index that vouches for it; name an index for the package: [index.NAME]"

LARGEST = 10_000_000
"""The largest file that is imported, in bytes."""

_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]*(.+)")
_CREDENTIALS = re.compile(r"://[^/@\s]*@")
_HASH = re.compile(r"\s--hash[ =]\S+")
_CONDA = re.compile(r"(?:\S+::)?([A-Za-z0-9_.-]+)\s*(?:(==|>=|<=|!=|~=|=|<|>)\s*([^\s=]+))?(?:=\S*)?\s*(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """A line that was left out, and why; `there` if the profile already provides what it requires."""

    text: str
    reason: str
    there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedRequirements:
    """Normalised requirements, one for each package and marker, and the lines left out."""

    requirements: tuple[str, ...]
    left_out: tuple[NotTaken, ...]


@dataclass(slots=True)
class _Found:
    """The requirements read so far, by package and marker; a later one replaces an earlier one."""

    requirements: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: list[NotTaken] = field(default_factory=list)
    place: str = ""
    """The current line's location if it is in an included file, whose lines are not quoted."""

    def add(self, text: str) -> None:
        """Add a requirement, or leave it out with a reason."""
        try:
            requirement = Requirement(text)
            check_marker(requirement)
        except InvalidRequirement as error:
            self.leave(text, "not a requirement" if self.place else f"not a requirement: {str(error).splitlines()[0]}")
            return
        if requirement.url:
            self.leave(text, DIRECT)
            return
        requirement.name = canonicalize_name(requirement.name)
        self.requirements[requirement.name, str(requirement.marker or "")] = str(requirement)

    def leave(self, text: str, reason: str) -> None:
        # This ends up in a comment of a committed file: one line, no credentials.
        self.left_out.append(NotTaken(text=one_line(self.place or _CREDENTIALS.sub("://", text)), reason=reason))


def read_requirements(path: Path) -> AdoptedRequirements:
    """Read the requirements in `path`, whose suffix selects the format. Raises UsageError."""
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UsageError(f"--from {path}", "not a file that is understood", hint="use requirements.txt, pyproject.toml or environment.yml")
    collected = _Found()
    reader(path, collected)
    return AdoptedRequirements(requirements=tuple(collected.requirements.values()), left_out=tuple(collected.left_out))


def _read(path: Path) -> str:
    try:
        return read_plain(path, LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"--from {path}", f"can't be read: {getattr(error, 'strerror', None) or error}") from error


def _text(path: Path, found: _Found) -> None:
    """Read a requirements file as pip does, with the files it includes."""
    _included(path, found, path.parent.resolve(), ())


def _included(path: Path, found: _Found, root: Path, above: tuple[Path, ...]) -> None:
    """Read a requirements file and the files it includes; those outside `root` are left out."""
    if path.resolve() in above:
        raise UsageError(f"--from {path}", "includes itself", hint="take one of its -r lines away")
    for number, line in _lines(_read(path)):
        found.place = f"{path.name}, line {number}" if above else ""
        if not (include := _INCLUDE.fullmatch(line)):
            _line(line, found)
            continue
        other = path.parent / include[1].strip()
        if other.resolve().is_relative_to(root):
            _included(other, found, root, (*above, path.resolve()))
        else:
            found.leave(line, "it leads out of the folder of the file that is taken over: copy what you want of it")


def _line(line: str, found: _Found) -> None:
    """Read one line that is not an include."""
    if line.startswith(("-c", "--constraint")):
        found.leave(line, "put its bounds into profiles/constraints, each with its reason")
    elif line.startswith(("-i", "--index-url", "--extra-index-url", "--find-links", "-f")):
        found.leave(line, "an index is mapped to the packages that come from it: [index.NAME]")
    elif line.startswith(("-e", "--editable", ".", "/")):
        found.leave(line, "a folder is no wheel: build one, and name an index that has it")
    elif line.startswith("-"):
        found.leave(line, "an option of pip")
    elif re.match(r"[\w+]+://", line):
        found.leave(line, DIRECT)
    else:
        found.add(_HASH.sub("", line).strip())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line with its number, without comments and blank lines; continuations are joined."""
    number = 1
    for line in re.split(r"(?<!\\)\n", text.replace("\r\n", "\n")):
        for offset, part in enumerate(line.replace("\\\n", " ").splitlines()):
            stripped = re.sub(r"(^|\s)#.*$", "", part).strip()
            if stripped:
                yield number + offset, stripped
        number += line.count("\n") + 1


def _pyproject(path: Path, found: _Found) -> None:
    try:
        project = parse_toml(_read(path).encode()).get("project", {})
    except ValueError as error:
        raise UsageError(f"--from {path}", f"not TOML: {error}") from error
    dependencies = project.get("dependencies", []) if isinstance(project, dict) else None
    if not isinstance(dependencies, list) or not all(isinstance(text, str) for text in dependencies):
        raise UsageError(f"--from {path}", "project.dependencies is no array of strings", hint='as in dependencies = ["transformers"]')
    for text in dependencies:
        found.add(text)
    optional = project.get("optional-dependencies", {}) if isinstance(project, dict) else {}
    for name in optional if isinstance(optional, dict) else {}:
        found.leave(f"optional-dependencies.{name}", "add what you want of it to requirements")


def _conda(path: Path, found: _Found) -> None:
    import yaml

    try:
        document: Any = yaml.safe_load(_read(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an invalid date or number
        raise UsageError(f"--from {path}", f"not YAML: {str(error).splitlines()[0]}") from error
    entries = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"--from {path}", "has no list of dependencies", hint="is it a conda environment?")
    for entry in entries:
        if isinstance(entry, dict):
            for text in entry.get("pip") or []:
                _line(str(text).strip(), found)
        else:
            _conda_package(str(entry), found)


def _conda_package(text: str, found: _Found) -> None:
    """Convert one conda package: its name may differ, and its `=` is a prefix match."""
    match = _CONDA.fullmatch(text.strip())
    if not match:
        found.leave(text, "not a package of conda")
        return
    name, operator, version, more = match[1].lower(), match[2] or "", match[3] or "", match[4]
    if name in CONDA_OWN or name.startswith(("_", "lib", "cuda-")):
        found.leave(text, "comes with the base, or with the wheels")
        return
    bound = f"=={version.removesuffix('.*')}.*" if operator == "=" else f"{operator}{version}"
    found.add(f"{CONDA_NAMES.get(name, name)}{bound}{more}".strip())


_READERS: Mapping[str, Callable[[Path, _Found], None]] = {
    ".txt": _text,
    ".in": _text,
    ".toml": _pyproject,
    ".yml": _conda,
    ".yaml": _conda,
}


def additions_to(imported: AdoptedRequirements, parent: Profile, source: str) -> AdoptedRequirements:
    """Return what `imported`, read from the file `source`, adds to the profile `parent`, leaving out what `parent` already has.

    Raises UsageError for bounds that exclude the version pinned by `parent`.
    """
    entries = [Entry(text=text, file=source) for text in imported.requirements]
    laid = {target: lay([*parent.entries, *entries], target.markers()) for target in parent.targets()}
    for merged in laid.values():
        for entry, pin in merged.unmet:
            raise UsageError(f"--from {source}", f"found {entry.text!r}, which {pin.text} of {pin.file} does not meet", hint=another(entry))
    holding = {entry: [target for target in laid if marker_holds(entry.requirement, target.markers())] for entry in entries}
    reasons = {entry: _needless(entry, [laid[target] for target in on], entries, parent) for entry, on in holding.items()}
    there = [entry.text for entry, reason in reasons.items() if reason == ""]
    left_out = [NotTaken(text=entry.text, reason=reason, there=True) for entry, reason in reasons.items() if reason]
    if there:
        left_out.append(NotTaken(text=", ".join(there), reason=f"{parent.name} has {'them' if len(there) > 1 else 'it'}", there=True))
    nowhere = f"its marker holds on none of the targets: {', '.join(target.slug for target in laid)}"
    shut_out = [NotTaken(text=entry.text, reason=nowhere) for entry, on in holding.items() if not on]
    return AdoptedRequirements(
        requirements=tuple(entry.text for entry, reason in reasons.items() if reason is None and holding[entry]),
        left_out=(*imported.left_out, *shut_out, *left_out),
    )


def _needless(entry: Entry, laid: Sequence[EntriesOnTarget], entries: Sequence[Entry], parent: Profile) -> str | None:
    """Return why `entry` is redundant with `parent` on every target it applies to: empty for a bare name, None if it is needed.

    `laid` is the outcome of the new `entries` on each of these targets.
    """
    wanted, reason, new = entry.requirement, "", set(entries)
    for merged in laid:
        below = [other for other in merged.entries if other.requirement.name == wanted.name and other not in new]
        extras = {extra for other in below for extra in other.requirement.extras}
        if not below or wanted.extras - extras or exact_version(wanted):
            return None  # also if another new line replaces those of the parent
        pin = next(pinned(below), None)
        if wanted.specifier and pin is None:
            return None
        if wanted.specifier and pin:
            reason = f'{parent.name} has {pin[0].text}, which meets it (write "{wanted.name}==…" for another one)'
    return reason if laid else None
