"""The images that campaigns make, and their removal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from built import docker


@contextmanager
def removed_images() -> Iterator[str]:
    """The beginning of names of images; all that are called so are removed when the context ends."""
    repository = f"envgen-reliability-{os.getpid()}"
    yield f"{repository}:"
    names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
    if names:
        docker("image", "rm", "--force", *names)
