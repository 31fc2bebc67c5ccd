"""The image labels that record what an image was made from: names, writing and reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from envgen.lock.model import Lock

PROFILE, TARGET, AS_OF, LOCK, PYTHON = "envgen.profile", "envgen.target", "envgen.as-of", "envgen.lock", "envgen.python"
CUDA, DRIVER = "envgen.cuda", "envgen.driver"
TITLE, DESCRIPTION = "org.opencontainers.image.title", "org.opencontainers.image.description"

BASE = "org.opencontainers.image.base.name"
"""The base an image was built on."""

OVERRIDE = "envgen.base.override"
"""The base given by `--base`; only images built with that option have this label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLabels:
    """The labels of an image, None for missing ones."""

    lock: str | None
    python: str | None
    base: str | None
    override: str | None

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Self:
        return cls(lock=labels.get(LOCK), python=labels.get(PYTHON), base=labels.get(BASE), override=labels.get(OVERRIDE))

    @property
    def built_on(self) -> str | None:
        """The base the image was built on, according to its labels.

        A plain `docker build` on another base may set the general label alone.
        """
        return self.override or self.base


def labels_of(lock: Lock) -> dict[str, str]:
    """The labels of an image built from `lock` on its locked base."""
    return {
        **base_labels(lock.base, lock.python),
        TITLE: lock.profile,
        DESCRIPTION: lock.description,
        PROFILE: lock.profile,
        TARGET: lock.target.slug,
        AS_OF: f"{lock.as_of:%Y-%m-%dT%H:%M:%SZ}",
        LOCK: lock.digest,
        **({CUDA: lock.cuda, DRIVER: f">={lock.driver}"} if lock.cuda else {}),
    }


def base_labels(base: str, python: str) -> dict[str, str]:
    """The labels for base and Python; passed to the builder, they override those in the Dockerfile."""
    return {BASE: base, PYTHON: python}
