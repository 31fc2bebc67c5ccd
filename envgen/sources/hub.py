"""Client for the model hub: resolve revisions to commits, list files with their sha256, and download them."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlsplit

from envgen.core.errors import HubGoneError, HubRefusedError, HubUnavailableError, UsageError, VerificationError
from envgen.core.parallel import map_parallel
from envgen.core.progress import Advance
from envgen.core.settings import Settings
from envgen.sources.index import unavailable
from envgen.sources.models import COMMIT, SHA256, HubFile, HubName, LockedModelFiles, needed

if TYPE_CHECKING:
    import requests  # slow to import, and most commands use no hub

    from envgen.sources.http import Arrived

CONNECTIONS = 4

PLAIN = 20 << 20
"""The largest file to download for its sha256 if the hub lists none; twice the hub's own limit, in bytes."""

PAGES = 50
"""The most pages of a file list, each with a thousand files."""

_TOKEN = re.compile(r"[!-~]*")


class Hub:
    """Client for the hub of one run; thread-safe."""

    def __init__(self, settings: Settings, explain: Callable[[str], str | None] = lambda _problem: None) -> None:
        """`explain` returns the cause and cure of a refusal, or None if unknown."""
        self._settings = settings
        self._explain = explain
        self._making, self._listing = threading.Lock(), threading.Lock()
        self._made: requests.Session | None = None
        self._listed: dict[HubName, LockedModelFiles] = {}

    @property
    def where(self) -> str:
        """The hub's name in messages."""
        return f"hub {urlsplit(self._settings.hub).netloc}"

    def commit(self, name: HubName) -> str:
        """Resolve a revision to its current commit.

        Raises HubRefusedError, or HubUnavailableError without a usable answer after a few tries.
        """
        url = f"/api/models/{name.repo}/revision/{quote(name.revision, safe='')}"
        answer = _json(self._get(url, name), self.where)
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise HubUnavailableError(self.where, f"found no commit in its answer for {name}, expected 40 hexadecimal digits")
        return commit

    def repository(self, name: HubName) -> LockedModelFiles:
        """List the files needed to load a model; the revision of `name` is a commit.

        Raises as `commit` does, and HubGoneError if the repository has no model.
        """
        with self._listing:  # several targets request the same list at once
            if name not in self._listed:
                self._listed[name] = self._repository(name)
            return self._listed[name]

    def _repository(self, name: HubName) -> LockedModelFiles:
        listed = {str(entry.get("path")): entry for entry in self._entries(name) if entry.get("type") == "file"}
        names = needed(tuple(listed))
        if not names or "config.json" not in names:
            missing = "config.json" if names else "safetensors, and no .bin either,"
            problem = f"{name} has no {missing} at its top: no model that transformers loads"
            raise HubGoneError(self.where, problem, hint="take another model, or another revision of it")
        files = map_parallel(lambda path: self._hub_file(path, listed[path], name), names, at_once=CONNECTIONS)
        return LockedModelFiles(repo=name.repo, commit=name.revision, files=tuple(files))

    def receive(self, repository: LockedModelFiles, file: HubFile, stream: BinaryIO, advance: Advance) -> None:
        """Download `file` to `stream`.

        Raises VerificationError if its sha256 differs, HubRefusedError, or HubUnavailableError.
        """
        import requests

        from envgen.sources.http import Download, receive_body

        name = HubName(repo=repository.repo, revision=repository.commit)
        body = Download(name=f"{name}: {file.name}", size=file.size, origin=self.where, patience=self._settings.patience)
        try:
            sha256 = receive_body(body, lambda arrived: self._anew(arrived, file.name, name), stream, advance)
        except requests.RequestException as error:
            raise self._unavailable(error) from error
        if sha256 != file.sha256:
            problem = f"found sha256 {sha256}, expected {file.sha256}"
            hint = f"the {self.where} serves another file than the one that was locked: do not use it, and ask the model's owner"
            raise VerificationError(body.name, problem, hint=hint)

    def _entries(self, name: HubName) -> Iterator[Mapping[str, object]]:
        """Yield the top-level entries of a repository, page by page."""
        tree = f"/api/models/{name.repo}/tree/{name.revision}"
        path = tree
        for _ in range(PAGES):
            response = self._get(path, name)
            entries = _json(response, self.where)
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise HubUnavailableError(self.where, f"found no list of files in its answer for {name}")
            yield from entries
            following = response.links.get("next", {}).get("url", "")
            if not following:
                return
            # Use only the query: a mirror passes on the hub's own address, which must not get our token.
            path = f"{tree}?{following.partition('?')[2]}"
        raise HubUnavailableError(self.where, f"the list of files of {name} does not end")

    def _hub_file(self, path: str, entry: Mapping[str, object], name: HubName) -> HubFile:
        """Convert an entry; its sha256 comes from LFS, or from the downloaded file."""
        lfs = entry.get("lfs")
        size, sha256 = entry.get("size"), lfs.get("oid") if isinstance(lfs, dict) else ""
        if not isinstance(size, int) or size < 0 or not isinstance(sha256, str) or (lfs and not SHA256.fullmatch(sha256)):
            raise HubUnavailableError(self.where, f"lists {path} of {name} without a size, or with a sha256 that is none")
        if not sha256:
            if size > PLAIN:
                raise HubRefusedError(self.where, f"{path} of {name} has {size} bytes and no sha256, expected at most {PLAIN}")
            content = self._get(_address(name, path), name).content
            if len(content) != size:
                raise HubUnavailableError(self.where, f"{path} of {name}: found {len(content)} bytes, expected {size}")
            sha256 = hashlib.sha256(content).hexdigest()
        return HubFile(name=path, sha256=sha256, size=size)

    def _anew(self, arrived: "Arrived", path: str, name: HubName) -> Iterator[bytes]:
        arrived.begin()  # no resuming: the redirect target changes each time
        return self._chunks(path, name)

    def _chunks(self, path: str, name: HubName) -> Iterator[bytes]:
        from envgen.sources.http import chunks

        with self._get(_address(name, path), name, stream=True) as response:
            yield from chunks(response, self._settings.patience)

    def _get(self, path: str, name: HubName, *, stream: bool = False) -> "requests.Response":
        """Send a GET request; return a response with status 200.

        Raises HubRefusedError or HubGoneError if it is refused, HubUnavailableError without a usable answer, and UsageError offline.
        """
        if self._settings.offline:
            problem = f"the {self.where} would have to be asked for {name}"
            raise UsageError("--offline", problem, hint="fetch it first: envgen smoke PROFILE, with the same --model")
        import requests

        from envgen.sources.http import ask

        url = f"{self._settings.hub}{path}"
        try:
            response = ask(self._session(), url, patience=self._settings.patience, stream=stream, auth=self._auth)
        except requests.RequestException as error:
            raise self._unavailable(error) from error
        if response.status_code != 200:
            response.close()
            raise self._refusal(response, name)
        return response

    def _session(self) -> "requests.Session":
        """Create the session on first use. Raises UsageError for an invalid address or token."""
        from envgen.sources.http import make_session

        with self._making:
            if self._made is None:
                _check(self._settings)
                self._made = make_session(self._settings, CONNECTIONS)
            return self._made

    def _auth(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        """Add the token, which requests removes on a redirect to another host."""
        if self._settings.token:
            request.headers["Authorization"] = f"Bearer {self._settings.token}"
        return request

    def _unavailable(self, error: Exception) -> HubUnavailableError:
        cause = unavailable(self._settings.hub, error)
        return HubUnavailableError(self.where, cause.problem, hint=cause.hint)

    def _refusal(self, response: "requests.Response", name: HubName) -> HubRefusedError | HubUnavailableError:
        """Convert a response other than 200 to an error; the hub gives the reason in a header."""
        code, status = response.headers.get("X-Error-Code", ""), response.status_code
        token = "HF_TOKEN may not read it" if self._settings.token else "HF_TOKEN is not set"
        if status == 401 and "invalid credentials" in response.headers.get("X-Error-Message", "").lower():
            return HubRefusedError(self.where, "does not take HF_TOKEN: it is wrong, or has expired", hint="make a new one, a read token")
        if code == "RevisionNotFound":
            return HubGoneError(self.where, f"{name.repo} has no revision {name.revision!r}")
        if code == "EntryNotFound":
            return HubGoneError(self.where, f"{name} lacks a file that its own list has")
        if code == "GatedRepo":
            return self._cured(f"{name.repo} is a gated repository, and {token}")
        if code == "RepoNotFound" or status in (401, 403, 404):
            refusal = self._cured(f"the hub shows no model {name.repo}: the name is wrong, or it is private and {token}")
            return HubGoneError(refusal.where, refusal.problem, hint=refusal.hint) if status == 404 else refusal
        return HubUnavailableError(self.where, f"found status {status}, expected 200", hint="try again later")

    def _cured(self, problem: str) -> HubRefusedError:
        hint = self._explain(problem) or "set HF_TOKEN to a read token of somebody who may see it"
        return HubRefusedError(self.where, problem, hint=hint)


def _check(settings: Settings) -> None:
    parts = urlsplit(settings.hub)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("HF_ENDPOINT", f"found {settings.hub!r}, expected an http(s) URL", hint="as in https://hub.example")
    if "@" in parts.netloc:
        raise UsageError("HF_ENDPOINT", "has credentials in it", hint="take them out, and set HF_TOKEN")
    if not _TOKEN.fullmatch(settings.token):
        raise UsageError("HF_TOKEN", "has characters that no token has", hint="set it again, without quotes and spaces")


def _address(name: HubName, path: str) -> str:
    return f"/{name.repo}/resolve/{name.revision}/{quote(path)}"


def _json(response: "requests.Response", where: str) -> object:
    """Parse JSON. Raises HubUnavailableError for anything else, such as a login page."""
    try:
        content: object = response.json()
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("content-type", "none").partition(";")[0]
        raise HubUnavailableError(where, f"found content of type {kind!r}, expected JSON", hint="is HF_ENDPOINT the right one?") from error
    return content
