"""The machine's own Debian package sources, told for one release.

Nothing here knows a host name: whatever mirror and key the machine uses for its own release is used for the other
one too. Only entries for Debian itself count; third-party entries have other suites or other components.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import MachineError

ETC_APT = Path("/etc/apt")
ONE_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>[^#]+)")
OPTION = re.compile(r"(?P<key>[\w-]+)=(?P<value>\S+)")
OPTION_FIELDS = {"signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One package source: fields as deb822 names them, values as they stand there."""

    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The value of a field, whatever its case, or an empty string."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")

    def moved(self, suites: list[str]) -> str:
        """This source as a deb822 stanza for other suites, binary packages of `main` only."""
        fixed = {"Types": "deb", "URIs": self.get("URIs"), "Suites": " ".join(suites), "Components": "main"}
        kept = {key: value for key, value in self.fields if key.lower() not in {name.lower() for name in fixed}}
        return "".join(f"{key}: {value}\n" for key, value in (fixed | kept).items())


def os_release() -> dict[str, str]:
    """The machine's /etc/os-release as a mapping; empty where there is none."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}


def from_deb822(text: str) -> Iterator[Source]:
    """The sources of a .sources file. Continuation lines (an embedded key) stay part of their field's value."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: list[tuple[str, str]] = []
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and fields:
                key, value = fields[-1]
                fields[-1] = (key, f"{value}\n{line}")
            else:
                key, _, value = line.partition(":")
                fields.append((key.strip(), value.strip()))
        if fields:
            yield Source(fields=tuple(fields))


def from_one_line(text: str) -> Iterator[Source]:
    """The sources of a .list file, one a line."""
    for line in text.splitlines():
        found = ONE_LINE.match(line)
        if found is None or found["uri"].startswith("cdrom:"):
            continue
        fields = [("URIs", found["uri"]), ("Suites", found["suite"]), ("Components", found["parts"].strip())]
        for option in OPTION.finditer(found["options"] or ""):
            name = OPTION_FIELDS.get(option["key"].lower())
            if name is not None:
                fields.append((name, option["value"]))
        yield Source(fields=tuple(fields))


def machine_sources(etc: Path = ETC_APT) -> list[Source]:
    """Every enabled source of the machine."""
    lists = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in from_one_line(path.read_text("utf-8"))]
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += from_deb822(path.read_text("utf-8"))
    return [source for source in found if source.get("Enabled").lower() not in {"no", "false"}]


def sources_for(codename: str, *, own: str, etc: Path = ETC_APT) -> str:
    """A .sources file for a Debian release, from the machine's entries for its own release `own`."""
    stanzas: list[str] = []
    for source in machine_sources(etc):
        pockets = [suite.removeprefix(own) for suite in source.get("Suites").split() if suite.startswith(own)]
        pockets = [pocket for pocket in pockets if pocket in {"", "-updates", "-security"}]
        binary = "deb" in (source.get("Types") or "deb").split()
        if pockets and binary and "main" in source.get("Components").split():
            stanza = source.moved([codename + pocket for pocket in pockets])
            if stanza not in stanzas:
                stanzas.append(stanza)
    if not stanzas:
        raise MachineError(
            f"{etc}: no package source for {own} with the component main, expected at least one",
            "add the machine's Debian mirror to its package sources, then try again",
        )
    return "\n".join(stanzas)
