"""Variations of a build's environment that must not change the image: folders, time zone, umask, and what RUN steps see of the machine."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from envgen.core.settings import Settings
from envgen.core.tempdirs import temp_dir

VARIED = (
    "clock (the second build is later)", "folder of the wheels", "TMPDIR", "umask", "time zone of envgen and buildx", "name of the image",
    "host name of RUN steps", "no_proxy of RUN steps",
)  # fmt: skip
"""What differs between the two builds."""

NOT_VARIED = (
    "engine and its builder", "kernel", "processors", "times and modes of the wheel files", "user", "locale", "PYTHONHASHSEED",
)  # fmt: skip
"""What may differ on another machine, but is the same for both builds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildVariation:
    """The environment of one build; `hostname` and `no_proxy` are what its RUN steps see."""

    name: str
    umask: int
    time_zone: str
    hostname: str
    no_proxy: str

    @property
    def arguments(self) -> Mapping[str, str]:
        """Its build arguments, which BuildKit handles itself: neither is in the image or its history."""
        return {"BUILDKIT_SANDBOX_HOSTNAME": self.hostname, "no_proxy": self.no_proxy}


FIRST = BuildVariation(name="first", umask=0o022, time_zone="UTC", hostname="one", no_proxy="one.invalid")
SECOND = BuildVariation(name="the second", umask=0o077, time_zone="Pacific/Kiritimati", hostname="another-2", no_proxy="two.invalid,three")


@contextmanager
def inside(variation: BuildVariation, settings: Settings) -> Iterator[Settings]:
    """Applies a variation to this process, and to programs started with the yielded settings; not thread-safe.

    At the end, everything is restored and the temporary folder is removed.
    """
    zone, mask, folder = os.environ.get("TZ"), os.umask(0o077), tempfile.tempdir
    try:
        with temp_dir(variation.name) as work:
            _apply(variation.time_zone, variation.umask, str(work))
            yield replace(settings, system={**settings.system, "TZ": variation.time_zone, "TMPDIR": str(work)})
    finally:
        _apply(zone, mask, folder)


def _apply(zone: str | None, mask: int, folder: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    if hasattr(time, "tzset"):  # Windows has none
        time.tzset()
    os.umask(mask)
    tempfile.tempdir = folder
