"""Renders a lock as `requirements.txt`, Dockerfile and build context; does no I/O."""

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
"""The file names of the templates, in templates/."""

EPOCH = 315532800
"""1980-01-01, the mtime of every file in every layer: a constant makes a layer depend on its content alone."""

PREFIX = "/opt/venv"
"""The path of the virtual environment in every image."""

UID = 10001
"""The user that every image runs as."""

INSTALLER_GROUP = "installer"
"""The build context with uv's wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRequirements:
    """The requirements from one index, one line per wheel.

    `argument` is the Dockerfile's ARG for the index, empty for the default.
    """

    argument: str
    packages: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A layer group: its pins, the `sha256sum` lines of its wheels, and its requirements by index."""

    name: str
    pins: tuple[str, ...]
    sums: tuple[str, ...]
    sources: tuple[IndexRequirements, ...]


def render_requirements(lock: Lock, template: str) -> str:
    """`requirements.txt` for `pip install --require-hashes -r` and uv; indexes other than the default are links."""
    used = {wheel.index: wheel.name for wheel in lock.wheels}
    links = [f"{index.url}/{package}/" for index in lock.indexes for package in index.packages if lock_has(lock, index.name, package)]
    assert set(used) <= {"default", *(index.name for index in lock.indexes)}
    return _render(REQUIREMENTS_TEMPLATE, template, lock=lock, links=links, lines=[requirement_line(wheel) for wheel in lock.wheels])


def lock_has(lock: Lock, index: str, package: str) -> bool:
    """Whether `package` is locked from `index`."""
    locked = lock.package(package)
    return locked is not None and locked.wheel.index == index


def requirement_line(wheel: Wheel) -> str:
    """A pin with its hash, in the format of pip and uv."""
    return f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}"


def render_dockerfile(lock: Lock, template: str) -> str:
    """The Dockerfile, for plain `docker buildx build` as well as for envgen."""
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
    """Renders a template. Raises ProfileError if that fails: a project may have templates of its own."""
    try:
        return _compiled(template).render(**values)
    except Exception as error:  # a template may do anything, such as divide by zero
        reason = f"{type(error).__name__}: {error}"
        hint = "correct it, or remove it: envgen has its own"
        raise ProfileError(f"templates/{name}", f"can't be rendered: {reason}", hint=hint) from error


@cache
def _compiled(template: str) -> "Template":
    """Compiles `template`, once per run: compiling takes longer than rendering."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Sandboxed: `envgen lock --check` must not run a project's template as a program on this machine.
    # No HTML escaping: values that could break out of a Dockerfile go through the filter `quoted`.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["quoted"] = _quoted
    return environment.from_string(template)


def _quoted(text: str) -> str:
    """Quotes `text` as one word of a Dockerfile, without expansion."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
