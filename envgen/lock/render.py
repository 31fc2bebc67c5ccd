"""Renderings of a lock: `requirements.txt`, the Dockerfile and its build context, as text and bytes; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from envgen.core.errors import ProfileError
from envgen.core.settings import index_variable
from envgen.lock.labels import labels_of
from envgen.lock.model import Lock
from envgen.sources import Wheel

if TYPE_CHECKING:
    from jinja2 import Template

REQUIREMENTS_TEMPLATE, DOCKERFILE_TEMPLATE = "requirements.txt.j2", "Dockerfile.j2"
"""The templates by their names in the folder templates/."""

EPOCH = 315532800
"""1980-01-01, in every mtime of every layer: one constant, so that a layer is its content and nothing else."""

PREFIX = "/opt/venv"
"""Where the virtual environment is in every image."""

UID = 10001
"""The user that every image runs as."""

INSTALLER_GROUP = "installer"
"""The build context that holds the wheel of uv."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRequirements:
    """Requirements that come from one index: how pip is told about it, and one line for each wheel.

    `argument` is the Dockerfile's ARG for the index, empty for the default one.
    """

    argument: str
    packages: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A layer group: its pins, what `sha256sum` says of its wheels, and these by the index they come from."""

    name: str
    pins: tuple[str, ...]
    sums: tuple[str, ...]
    sources: tuple[IndexRequirements, ...]


def render_requirements(lock: Lock, template: str) -> str:
    """`requirements.txt`: for `pip install --require-hashes -r` and for uv, with an index other than the default as a link."""
    used = {wheel.index: wheel.name for wheel in lock.wheels}
    links = [f"{index.url}/{package}/" for index in lock.indexes for package in index.packages if lock_has(lock, index.name, package)]
    assert set(used) <= {"default", *(index.name for index in lock.indexes)}
    return _render(REQUIREMENTS_TEMPLATE, template, lock=lock, links=links, lines=[requirement_line(wheel) for wheel in lock.wheels])


def lock_has(lock: Lock, index: str, package: str) -> bool:
    """Whether `package` is locked, and from `index`."""
    found = lock.package(package)
    return found is not None and found.wheel.index == index


def requirement_line(wheel: Wheel) -> str:
    """A pin with its hash, as pip and uv read it."""
    return f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}"


def render_dockerfile(lock: Lock, template: str) -> str:
    """The Dockerfile, which builds with plain `docker buildx build` as well as through envgen."""
    assert lock.installer is not None
    arguments = {index.name: index_variable(index.name) for index in lock.indexes}
    groups = [_group(name, wheels, arguments) for name, wheels in lock.groups.items()]
    return _render(
        DOCKERFILE_TEMPLATE,
        template,
        lock=lock,
        labels=labels_of(lock),
        arguments=[(arguments[index.name], index.url) for index in lock.indexes],
        groups=groups,
        fetched=[_group(INSTALLER_GROUP, (lock.installer,), arguments), *groups],
        epoch=EPOCH,
        prefix=PREFIX,
        uid=UID,
    )


def _group(name: str, wheels: Sequence[Wheel], arguments: Mapping[str, str]) -> Group:
    sources = []
    for index in dict.fromkeys(wheel.index for wheel in wheels):
        here = [wheel for wheel in wheels if wheel.index == index]
        lines = tuple(requirement_line(wheel) for wheel in here)
        sources.append(IndexRequirements(argument=arguments.get(index, ""), packages=tuple(wheel.name for wheel in here), lines=lines))
    sums = sorted((wheel.file, wheel.sha256) for wheel in wheels)
    return Group(
        name=name,
        pins=tuple(f"{wheel.name}=={wheel.version}" for wheel in wheels),
        sums=tuple(f"{sha256}  {file}" for file, sha256 in sums),
        sources=tuple(sources),
    )


def _render(name: str, template: str, **values: object) -> str:
    """What the template of this name gives. Raises ProfileError for one that gives nothing: a project may have its own."""
    try:
        return _compiled(template).render(**values)
    except Exception as error:  # a template may do anything, as dividing by zero
        reason = f"{type(error).__name__}: {error}"
        hint = "correct it, or remove it: envgen has its own"
        raise ProfileError(f"templates/{name}", f"can't be rendered: {reason}", hint=hint) from error


@cache
def _compiled(template: str) -> "Template":
    """`template` for all locks of a run: compiling takes longer than rendering."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # In a sandbox: a project's template is text to fill in, not a program that `envgen lock --check` runs on this machine.
    # Not HTML: what could break out of a Dockerfile goes through the filter `quoted`.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["quoted"] = _quoted
    return environment.from_string(template)


def _quoted(text: str) -> str:
    """`text` as a quoted word of a Dockerfile, in which nothing is expanded."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
