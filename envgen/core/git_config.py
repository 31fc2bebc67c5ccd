"""What keeps git's configuration of a repository that anybody may have made from running anything.

A clone brings no configuration. But a folder of a repository may be tracked that is a bare repository itself, and an unpacked archive
may have a .git folder; git reads the configuration in there, and many of its settings name a program.
"""

import re
from collections.abc import Mapping

ALWAYS = {
    "safe.bareRepository": "explicit",
    "core.fsmonitor": "",
    "core.hooksPath": "/dev/null",
    "core.alternateRefsCommand": "true",
    "diff.ignoreSubmodules": "dirty",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
"""What git is told whatever the repository says: no such repository is entered, and nothing of it is run. Asked whether a file in
another repository is changed, git would run itself in there."""

_PROGRAMS = (
    (re.compile(r"filter\..*\.(clean|smudge|process)", re.DOTALL), ""),
    (re.compile(r"filter\..*\.required", re.DOTALL), "false"),
    (re.compile(r"remote\..*\.vcs", re.DOTALL), ""),
    (re.compile(r"credential\.(.*\.)?helper", re.DOTALL), ""),
    (re.compile(r"core\.sshcommand"), "ssh"),
    (re.compile(r"core\.askpass"), ""),
)
"""Settings with a name in them that run a program, and what each is set to where the repository sets it: some are a user's own too."""

_WAYS = (
    ("file", re.compile(r"remote\..*\.uploadpack", re.DOTALL)),
    ("git", re.compile(r"core\.gitproxy")),
    ("http", None),
    ("https", None),
    ("ssh", None),
)
"""How the rest of a partial clone may be fetched, each but where the repository sets a program for it, of which git takes the first
that is set, and not the last. All other ways run a command that the address names."""

USERS = ("system", "global")
"""Where the settings of the machine and of its user come from."""


def harmless(listed: bytes) -> Mapping[str, str]:
    """The variables by which git runs nothing of a repository's; `listed` is what `git config --list --show-scope --name-only -z` says."""
    words = listed.decode(errors="surrogateescape").split("\0")
    names = sorted({name for scope, name in zip(words[::2], words[1::2], strict=False) if scope not in USERS})
    settings = {**ALWAYS, **{name: value for name in names for form, value in _PROGRAMS if form.fullmatch(_lower(name))}}
    ways = (way for way, form in _WAYS if form is None or not any(form.fullmatch(_lower(name)) for name in names))
    found = {"GIT_ALLOW_PROTOCOL": ":".join(ways), "GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _lower(name: str) -> str:
    """A setting as git compares it: without case, but for what is between the dots."""
    first, *middle, last = name.split(".")
    return ".".join((first.lower(), *middle, last.lower()))
