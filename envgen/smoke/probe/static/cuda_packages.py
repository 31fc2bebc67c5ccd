"""Checks CUDA among the installed packages: only from wheels, all for one CUDA version, and supported by bitsandbytes.

Part of phase static-imports. CUDA's shared libraries are identified by their file names.
"""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module, metadata
from pathlib import Path

import harness
from versions import name as normal_name

LOADER_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_FOR_CUDA = re.compile(r"nvidia-.+-cu(?P<major>\d+)")
# CUPTI and its nvperf are left out: triton brings copies of its own, which only its profiler loads, by path.
_CUDA_LIBRARY = re.compile(
    r"(?P<library>lib(?:cuda|cudart|cublas|cudnn|cufft|cufile|curand|cusolver|cusparse|nccl|nvjitlink|nvrtc|nvshmem"
    r"|nvtoolsext|nvfatbin|nppc|nvjpeg)[a-z_.-]*?)(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?",
    re.IGNORECASE,
)


def cuda_library(path: str) -> str | None:
    """Return the name of a CUDA library without version, or None for another file."""
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


def one_major(job: harness.Job) -> str:
    """Every NVIDIA distribution that names a CUDA version has the lock's major, and the runtime is of exactly that CUDA."""
    cuda = harness.text(job, "cuda")
    major = cuda.partition(".")[0]
    versions = {normal_name(found.metadata["Name"]): found.version for found in metadata.distributions()}
    runtimes = [name for name in versions if re.fullmatch(r"nvidia-cuda-runtime(-cu\d+)?", name)]
    if [versions[name].split(".")[:2] for name in runtimes] != [cuda.split(".")]:
        found = ", ".join(f"{name} {versions[name]}" for name in runtimes) or "none"
        raise harness.Failed(f"CUDA runtime: found {found} (expected one, of CUDA {cuda})")
    named = {name: match["major"] for name in versions if (match := _FOR_CUDA.fullmatch(name))}
    if other := sorted(name for name, found in named.items() if found != major):
        raise harness.Failed(f"for another CUDA than {cuda}: {', '.join(other)}")
    return f"{runtimes[0]} {versions[runtimes[0]]}, and {len(named)} distributions for CUDA {major}"


def no_cuda_base(job: harness.Job) -> str:
    """The base has no CUDA, no path leads to one, and torch loads CUDA only from the wheels; the driver is allowed."""
    torch = import_module("torch")
    found = [*map(str, Path("/usr/local").glob("cuda*")), *_foreign(path for root in LOADER_FOLDERS for path in below(root))]
    if found:
        raise harness.Failed(f"CUDA is in the base: {harness.first_few(sorted(found))}")
    # The image's own environment is not this process's.
    libraries = harness.optional_text(job, "library_path") or os.environ.get("LD_LIBRARY_PATH")
    if libraries is not None:
        raise harness.Failed(f"LD_LIBRARY_PATH is set to {libraries!r} (expected not to be needed)")
    loaded = sorted({line.split()[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines() if ".so" in line})
    ours = [path for path in _foreign(loaded) if path.startswith(f"{sys.prefix}/")]
    others = [path for path in _foreign(loaded) if path not in ours]
    if others or not ours:
        problem = f"torch {torch.__version__} loaded of CUDA: {harness.first_few(others) or 'nothing'}"
        raise harness.Failed(f"{problem} (expected libraries of the wheels)")
    return f"torch loaded {len(ours)} CUDA libraries, all from the wheels"


def _foreign(paths: Iterable[str]) -> list[str]:
    """Return the CUDA libraries among `paths`, without the driver's, which the host puts into a container."""
    return [path for path in paths if (name := cuda_library(path)) and name not in ("libcuda", "libcudadebugger")]


def bitsandbytes_library(job: harness.Job) -> str:
    """bitsandbytes has its libraries for this CUDA and for CPUs."""
    cuda = harness.text(job, "cuda") if job.get("cuda") else ""
    package = Path(str(metadata.distribution("bitsandbytes").locate_file("bitsandbytes")))
    required = ["libbitsandbytes_cpu.so", *([f"libbitsandbytes_cuda{cuda.replace('.', '')}.so"] if cuda else [])]
    there = sorted(path.name for path in package.glob("libbitsandbytes_*.so"))
    if missing := [name for name in required if name not in there]:
        raise harness.Failed(f"{', '.join(missing)}: not in bitsandbytes (found {', '.join(there) or 'none'})")
    return f"{', '.join(required)}, of {len(there)} bundled"
