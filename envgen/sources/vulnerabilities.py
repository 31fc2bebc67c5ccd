"""Known vulnerabilities of a release, from the JSON API of its index."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from envgen.core.errors import IndexUnavailableError
from envgen.sources.index import IndexClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """A known vulnerability: its id, aliases (such as CVE-2026-1234), and the versions that fix it."""

    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]
    summary: str


def known_vulnerabilities(client: IndexClient, index: str, package: str, version: str) -> tuple[Vulnerability, ...] | None:
    """List the known vulnerabilities of a release; None if `index` publishes no such data, empty if there are none.

    Raises IndexUnavailableError without a usable answer.
    """
    content = client.release(index, package, version)
    if content is None:
        return None
    where = f"index {index}: JSON API, {package} {version}"
    try:
        answer = json.loads(content)
        # Some mirrors return the newest release, whatever version is requested.
        if Version(answer["info"]["version"]) != Version(version):
            raise IndexUnavailableError(where, f"found data of version {answer['info']['version']!r}")
        if "vulnerabilities" not in answer:
            return None
        return tuple(_distinct(answer["vulnerabilities"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidVersion) as error:
        raise IndexUnavailableError(where, f"found no data of a release: {error}") from error


def _distinct(entries: list[Mapping[str, object]]) -> Iterator[Vulnerability]:
    """Yield each vulnerability once, without withdrawn ones; most are in several databases under different ids."""
    seen: set[str] = set()
    for entry in entries:
        if entry.get("withdrawn"):
            continue
        vulnerability = Vulnerability(
            id=str(entry["id"]),
            aliases=_texts(entry, "aliases"),
            fixed_in=_texts(entry, "fixed_in"),
            summary=str(entry.get("summary") or ""),
        )
        names = {vulnerability.id, *vulnerability.aliases}
        if not names & seen:
            yield vulnerability
        seen |= names


def _texts(entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = entry.get(key) or []
    return tuple(str(value) for value in values) if isinstance(values, list) else ()
