"""Fetching one file, of an index or of anybody, with its digest; a body that is cut off, or stalls, is asked for again."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from envgen.core.errors import IndexUnavailableError, ResolutionError, VerificationError
from envgen.sources.index import IndexClient, gone, size_of, unavailable
from envgen.sources.index_pages import IndexFile

TRIES = 3
"""How often a wheel is asked for whose body is cut off."""

Advance = Callable[[int], None]
"""Told of each number of bytes that has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What is to arrive: a file's name, its size in bytes if that is known, who sends it, and our patience with them in seconds."""

    name: str
    size: int | None
    origin: str
    patience: float


def receive(file: IndexFile, index: str, client: IndexClient, stream: BinaryIO, advance: Advance) -> str:
    """Writes `file` to `stream` and gives its sha256 (hex); a body that is cut off is asked for again, a few times.

    Raises VerificationError as soon as there is more of it than the index, or its server, says.
    """
    from requests import RequestException

    body = Download(name=file.filename, size=file.size, origin=f"index {index}", patience=client.patience)
    try:
        return arrive(body, lambda: _chunks(file, index, client), stream, advance)
    except RequestException as error:
        found = unavailable(file.url, error)
        raise IndexUnavailableError(f"{found.where}: {file.filename}", found.problem, hint=found.hint) from error


def arrive(body: Download, ask: Callable[[], Iterator[bytes]], stream: BinaryIO, advance: Advance) -> str:
    """Writes what `ask` gives, each time anew, to `stream`, and gives its sha256 (hex).

    Raises VerificationError as soon as there is more of it than its size says, RequestException when the last try fails.
    """
    from requests import RequestException

    from envgen.sources.http import Attempts

    tries = Attempts(body.patience, TRIES)
    while True:
        digest, received = hashlib.sha256(), 0
        stream.seek(0)
        stream.truncate()
        try:
            for chunk in ask():
                digest.update(chunk)
                stream.write(chunk)
                received += len(chunk)
                advance(len(chunk))
                if body.size is not None and received > body.size:
                    raise _too_long(body.name, body.origin, body.size)
            return digest.hexdigest()
        except RequestException as error:
            advance(-received)
            if not tries.again(error):
                raise


def _too_long(name: str, origin: str, size: int) -> VerificationError:
    hint = "is its address, or its mirror, the right one?"
    return VerificationError(name, f"{origin} sends more than the {size} bytes that it has", hint=hint)


def _chunks(file: IndexFile, index: str, client: IndexClient) -> Iterator[bytes]:
    from envgen.sources.http import CHUNK, chunks

    if file.url.startswith("file:"):
        folder = client.folder(index)
        if folder is None:
            raise ResolutionError(f"index {index} ({client.location(index)})", f"links to a file of this machine: {file.url}")
        try:
            with (folder / file.filename).open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise ResolutionError(str(folder / file.filename), f"can't be read: {error.strerror or error}") from error
        return
    # Unpacked, a small answer may be huge; and a wheel is packed already.
    with client.get(file.url, index, headers={"Accept-Encoding": "identity"}, stream=True) as response:
        if response.status_code in (404, 410):
            raise gone(file, index)
        if response.status_code != 200:
            raise unavailable(file.url, OSError(f"status {response.status_code} for {file.filename}"))
        size, received = size_of(file, response), 0
        for chunk in chunks(response, client.patience):
            received += len(chunk)
            if received > size:
                raise _too_long(file.filename, f"index {index}", size)
            yield chunk
