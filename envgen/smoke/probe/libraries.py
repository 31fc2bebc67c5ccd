"""CUDA's shared libraries by their file names, and where this Python's packages have theirs."""

from __future__ import annotations

import os
import re
import site
from collections.abc import Iterator

# CUPTI and its nvperf are left out: triton brings copies of its own, which only its profiler loads, by path.
_CUDA_LIBRARY = re.compile(
    r"(?P<library>lib(?:cuda|cudart|cublas|cudnn|cufft|cufile|curand|cusolver|cusparse|nccl|nvjitlink|nvrtc|nvshmem"
    r"|nvtoolsext|nvfatbin|nppc|nvjpeg)[a-z_.-]*?)(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?",
    re.IGNORECASE,
)


def cuda_library(path: str) -> str | None:
    """Return the name, without version, of the CUDA library that a file is, or None."""
    match = _CUDA_LIBRARY.fullmatch(path.rpartition("/")[2])
    return match["library"].lower() if match else None


def installed() -> Iterator[str]:
    """Yield every shared library in site-packages, relative to it."""
    for site_packages in site.getsitepackages():
        for path in below(site_packages):
            yield os.path.relpath(path, site_packages)


def below(root: str) -> Iterator[str]:
    """Yield every shared library below a folder."""
    for folder, _, files in os.walk(root):
        for file in files:
            if ".so" in file:
                yield f"{folder}/{file}"
