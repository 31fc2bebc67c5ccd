"""Create the files of a new project: a profile, its constraint set, and repository files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envgen import __version__
from envgen.core.errors import UsageError
from envgen.core.plain_files import check_no_links
from envgen.core.toml import toml_string
from envgen.profiles.adopt import NotTaken
from envgen.profiles.extends import PROFILE_NAME

FILES = {
    "README.md": "README.md.j2",
    ".gitattributes": "gitattributes.j2",
    ".pre-commit-config.yaml": "pre-commit-config.yaml.j2",
    ".github/workflows/images.yml": "images.yml.j2",
}
"""Files whose paths do not depend on the profile's name, with their templates; `project_files` adds the rest."""

SCHEMAS = Path(__file__).parent / "schemas"
"""JSON schemas for editors, which are copied into the project."""

ACTIONS = {
    "checkout": "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2",
    "setup_python": "actions/setup-python@0b93645e9fea7318ecaed2b359559ac225c90a2b # v5.3.0",
    "upload_artifact": "actions/upload-artifact@b4b15b8c7c6ac21ea08fcf65892d2ee8f75cf882 # v4.4.3",
}
"""The workflow's actions, pinned by commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """The settings of a new project: its profile's name, the profile it extends, and its requirements.

    `title` is the heading of its README; `as_of` is a date such as 2026-11-01, empty to inherit it; `left_out` are the lines that
    could not be imported from the file `source`.
    """

    name: str
    extends: str
    title: str
    as_of: str = ""
    requirements: tuple[str, ...] = ()
    left_out: tuple[NotTaken, ...] = ()
    source: str = ""


def project_files(scaffold: Scaffold, templates: Mapping[str, str]) -> dict[str, str]:
    """Render the project's files, by relative path, from `templates`, by name."""
    places = {
        f"profiles/{scaffold.name}.toml": "profile.toml.j2",
        f"profiles/constraints/{scaffold.name}.toml": "constraints.toml.j2",
        **FILES,
    }
    schemas = {f"profiles/.schema/{path.name}": path.read_text(encoding="utf-8") for path in sorted(SCHEMAS.glob("*.json"))}
    return {**{place: _render(templates[template], scaffold) for place, template in places.items()}, **schemas}


def _render(template: str, scaffold: Scaffold) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(  # noqa: S701  (not HTML)
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["toml"] = toml_string
    values = {key: getattr(scaffold, key) for key in ("name", "extends", "title", "as_of", "requirements", "left_out", "source")}
    description = f"What {scaffold.title} runs"
    return environment.from_string(template).render(**values, description=description, version=__version__, actions=ACTIONS)


def write_project(folder: Path, files: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the missing ones of `files` to `folder`; return the paths written, and those left unchanged.

    Raises UsageError for a folder that can't be written, or is a link.
    """
    written, existing = [], []
    for place in files:
        check_no_links(folder, (folder / place).parent)
    try:
        for place, text in files.items():
            path = folder / place
            if path.exists() or path.is_symlink():
                existing.append(place)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
            written.append(place)
    except OSError as error:
        where = str(error.filename or folder)
        raise UsageError(where, f"can't be written: {error.strerror or error}", hint="name another folder") from error
    return tuple(written), tuple(existing)


def profile_name(folder: Path, given: str, known: Sequence[str]) -> str:
    """The name of a new profile: `given`, or one derived from the folder. Raises UsageError if invalid or that of a shipped profile."""
    name = given or re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")
    if not PROFILE_NAME.fullmatch(name):
        raise UsageError("--name", f"found {name!r}, which no profile can be called", hint="small letters, digits and -, as in --name team")
    if name in known:
        raise UsageError("--name", f"{name} is the name of a profile that comes with envgen", hint="choose another one: --name NAME")
    return name
