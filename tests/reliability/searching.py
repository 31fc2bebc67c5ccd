"""Looking for a secret in every byte that is left: in files, in what was said, and in an image's archive with its layers unpacked."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from envgen.oci import Archive

CHUNK = 1 << 20


def forms(secret: str) -> frozenset[bytes]:
    """How a secret may be written: plainly, quoted for a URL or for JSON, and within base64 at any place."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    for shift in range(3):
        # Without the letters that depend on what stands before and after.
        middle = b64encode(b"\0" * shift + plain + b"\0" * ((-shift - len(plain)) % 3))[4 if shift else 0 : -4]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return frozenset(found)


class Search:
    """What is found of `secrets`, each by its name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(secret) for name, secret in secrets.items()}
        self._longest = max(len(form) for found in self._forms.values() for form in found)
        self.found: list[str] = []
        self.searched = 0
        """Bytes."""

    def look(self, where: str, chunks: Iterator[bytes]) -> None:
        """Searches a stream; what lies across two chunks is found as well."""
        rest = b""
        for chunk in chunks:
            self.searched += len(chunk)
            data = rest + chunk
            for name, written in self._forms.items():
                if any(form in data for form in written):
                    self.found.append(f"{name} in {where}")
            rest = data[-self._longest :]

    def look_at(self, where: str, text: str) -> None:
        self.look(where, iter([text.encode(errors="replace")]))

    def look_below(self, folder: Path) -> None:
        """Every file below a folder, and its name."""
        for path in sorted(folder.rglob("*")):
            self.look_at("a file's name", str(path.relative_to(folder)))
            if path.is_file():
                self.look(str(path), _chunks_of(path))

    def look_into(self, archive: Path) -> None:
        """An OCI archive: as it is, and every layer unpacked with the names in it."""
        self.look(archive.name, _chunks_of(archive))
        with Archive(archive) as opened:
            image = opened.image()
            self.look_at("its configuration", json.dumps(image.config, ensure_ascii=False))
            for layer in image.layers:
                for member, stream in opened.files(layer):
                    self.look_at("a layer", f"{member.name} {member.linkname} {member.pax_headers}")
                    if stream is not None:
                        self.look(f"{layer.digest[:19]} {member.name}", iter(lambda stream=stream: stream.read(CHUNK), b""))


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
