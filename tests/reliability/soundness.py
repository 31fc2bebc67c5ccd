"""What holds after whatever happened to a command: whole files alone in the store, and nothing that grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tiny import Site


def store_problems(site: Site) -> Iterator[str]:
    """What is wrong in the wheel store: everything in it under a sha256 must be whole, at any moment."""
    for path in sorted(site.store.glob("[0-9a-f]*/*")):
        content = path.read_bytes()
        # A small file begins with the digest of the rest.
        seal, _, rest = content.partition(b"\n")
        sealed = seal == b"sha256:" + hashlib.sha256(rest).hexdigest().encode()
        sound = {
            "METADATA": sealed and rest.startswith(b"Metadata-Version:") and b"\nVersion: " in rest,
            "SIZE": sealed and rest.isdigit(),
            "RECORD": sealed and b"/RECORD,," in rest,
        }.get(path.name, hashlib.sha256(content).hexdigest() == path.parent.name)
        if not sound:
            yield f"not whole: {path.relative_to(site.store)}"


def leftovers(site: Site) -> Iterator[str]:
    """What is still there after a run that ended by itself, and should not be."""
    for place in (site.store / ".partial", Path(site.env["TMPDIR"])):
        for path in place.rglob("*"):
            # The locks that keep processes apart: one for each wheel, empty.
            lock = path.parent == site.store / ".partial" and path.suffix == ".lock"
            # Python itself tries with such a file whether it can write there.
            trial = path.parent == Path(site.env["TMPDIR"]) and path.is_file() and path.read_bytes() in (b"", b"blat")
            if not lock and not trial:
                yield f"left over: {path.relative_to(place.parent)}"
    for path in (site.project / "locks").rglob("*"):
        if path.is_file() and path.name not in ("envgen.lock", "requirements.txt", "Dockerfile"):
            yield f"left over: {path.relative_to(site.project)}"
