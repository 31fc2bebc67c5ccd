"""Parse index pages: the files of a package with hash, size and upload time.

Both forms of the simple repository API are supported (PEP 503 and 691), with upload times if published
(PEP 700 in JSON; `data-upload-time` in HTML, which some proxies send instead of JSON).
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote, urljoin

from envgen.core.errors import IndexUnavailableError

_ANCHOR = re.compile(r"""<a\s((?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_BASE = re.compile(r"""<base\s[^<>]*?href\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"\.(whl|zip|tar\.(gz|bz2|xz|Z)|tgz|egg|exe|msi|rpm|deb)$")
_UNSEEN = re.compile(r"<(title|script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)

LARGEST = 1 << 48
"""The largest plausible file size in bytes; sizes are summed and compared with free disk space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file of a package as listed by the index named `index`.

    `sha256` (hex), `size` (bytes), `uploaded`, `requires_python` and `yanked_because` are None if not published.
    """

    index: str
    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None
    uploaded: dt.datetime | None = None
    yanked: bool = False
    yanked_because: str | None = None
    requires_python: str | None = None


def json_files(content: bytes, url: str, index: str) -> Iterator[IndexFile]:
    """Parse the files of a PEP 691 page of `index`. Raises IndexUnavailableError for an invalid page."""
    try:
        entries = json.loads(content)["files"]
        return iter([_json_file(entry, url, index) for entry in entries])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IndexUnavailableError(url, f"found JSON that is no index page: {error}") from error


def package_names(content: bytes) -> tuple[str, ...]:
    """Parse the list of all packages of an index, in either form; empty if it is invalid."""
    from packaging.utils import canonicalize_name

    try:
        names = [str(entry["name"]) for entry in json.loads(content)["projects"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        anchors = _ANCHOR.finditer(content.decode(errors="replace"))
        attributes = [{name.lower(): "".join(texts) for name, *texts in _ATTRIBUTE.findall(anchor[1])} for anchor in anchors]
        names = [unescape(values.get("href", "")).rstrip("/").rpartition("/")[2] for values in attributes]
    return tuple(canonicalize_name(name) for name in names if name)


def _json_file(entry: Mapping[str, object], url: str, index: str) -> IndexFile:
    hashes, size, uploaded, yanked = (entry.get(key) for key in ("hashes", "size", "upload-time", "yanked"))
    return IndexFile(
        index=index,
        filename=str(entry["filename"]),
        url=urljoin(url, str(entry["url"])),
        sha256=_sha256(str(hashes.get("sha256", ""))) if isinstance(hashes, dict) else None,
        size=size if type(size) is int and 0 <= size < LARGEST else None,
        uploaded=_instant(uploaded) if isinstance(uploaded, str) else None,
        yanked=bool(yanked),
        yanked_because=yanked or None if isinstance(yanked, str) else None,
        requires_python=str(entry.get("requires-python") or "") or None,
    )


def html_page(text: str, url: str, index: str) -> list[IndexFile]:
    """Parse the files of a PEP 503 page of `index`. Raises IndexUnavailableError for other HTML, such as a login page."""
    try:
        files = list(html_files(text, url, index))
    except ValueError as error:
        raise IndexUnavailableError(url, f"found HTML that is no index page: {error}") from error
    # The page of a package without files is empty, or has only the usual heading.
    if not any(_FILE_NAME.search(file.filename) for file in files) and "pypi:repository-version" not in text:
        words = " ".join(unescape(_UNSEEN.sub(" ", text[:20_000])).split())
        if words and not words.startswith("Links for"):
            problem = f"found HTML that lists no file ({words[:60]!r}), expected an index page"
            raise IndexUnavailableError(url, problem, hint="does it ask for a login? open it in a browser, or set the index's credentials")
    return files


def html_files(text: str, url: str, index: str) -> Iterator[IndexFile]:
    """Yield the files of a PEP 503 page; a full HTML parser takes seconds for packages with many releases.

    Raises ValueError for an invalid upload time or URL.
    """
    base = _BASE.search(text)
    url = urljoin(url, unescape(base[1])) if base else url
    for anchor in _ANCHOR.finditer(text):
        values = {name.lower(): unescape("".join(texts)) for name, *texts in _ATTRIBUTE.findall(anchor[1])}
        if "href" not in values:
            continue
        target, _, fragment = values["href"].partition("#")
        # Join only if necessary, as it is slow and most URLs are absolute; those with brackets may be invalid.
        if not target.startswith(("https://", "http://")) or "[" in target or "]" in target:
            target = urljoin(url, target)
        uploaded = values.get("data-upload-time")
        yield IndexFile(
            index=index,
            filename=unquote(target.partition("?")[0].rpartition("/")[2]),
            url=target,
            sha256=_sha256(fragment.removeprefix("sha256=")),
            uploaded=_instant(uploaded) if uploaded else None,
            yanked="data-yanked" in values,
            yanked_because=values.get("data-yanked") or None,
            requires_python=values.get("data-requires-python") or None,
        )


def _sha256(text: str) -> str | None:
    """The digest, or None if it is invalid, as it becomes part of a path."""
    digest = text.lower()
    return digest if _DIGEST.fullmatch(digest) else None


def _instant(text: str) -> dt.datetime:
    """Parse an instant, in UTC. Raises ValueError if it is invalid."""
    moment = dt.datetime.fromisoformat(text)
    try:
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is before the first year, or after the last") from error
