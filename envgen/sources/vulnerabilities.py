"""Known vulnerabilities of a release, as the JSON API of its index lists them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from envgen.core.errors import IndexUnavailableError
from envgen.sources.index import IndexClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """One known vulnerability: its id, its ids elsewhere (such as CVE-2026-1234), and the versions that have it no more."""

    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]
    summary: str


def known_vulnerabilities(client: IndexClient, index: str, package: str, version: str) -> tuple[Vulnerability, ...] | None:
    """What `index` knows of one release; None where it publishes no such data, which is not the same as none.

    Raises IndexUnavailableError when it gives no usable answer.
    """
    content = client.release(index, package, version)
    if content is None:
        return None
    where = f"index {index}: JSON API, {package} {version}"
    try:
        answer = json.loads(content)
        # A mirror that only knows the newest release would say nothing of ours.
        if Version(answer["info"]["version"]) != Version(version):
            raise IndexUnavailableError(where, f"found data of version {answer['info']['version']!r}")
        if "vulnerabilities" not in answer:
            return None
        return tuple(_distinct(answer["vulnerabilities"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidVersion) as error:
        raise IndexUnavailableError(where, f"found no data of a release: {error}") from error


def _distinct(entries: list[Mapping[str, object]]) -> Iterator[Vulnerability]:
    """The entries that hold, each vulnerability once: several databases know most of them, each by an id of its own."""
    seen: set[str] = set()
    for entry in entries:
        if entry.get("withdrawn"):
            continue
        found = Vulnerability(
            id=str(entry["id"]),
            aliases=_texts(entry, "aliases"),
            fixed_in=_texts(entry, "fixed_in"),
            summary=str(entry.get("summary") or ""),
        )
        names = {found.id, *found.aliases}
        if not names & seen:
            yield found
        seen |= names


def _texts(entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = entry.get(key) or []
    return tuple(str(value) for value in values) if isinstance(values, list) else ()
