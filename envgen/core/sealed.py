"""Small files that begin with the digest of the rest: one that was damaged, or cut off, is as good as none."""

import hashlib
from pathlib import Path


def with_digest(content: bytes) -> bytes:
    """What is to be written for `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}\n".encode() + content


def read_checked(path: Path) -> bytes | None:
    """The content of the file at `path`, None where it is not there or not what it says. Raises OSError."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    content = data.partition(b"\n")[2]
    return content if with_digest(content) == data else None
