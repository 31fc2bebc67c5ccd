"""Finds this machine's NVIDIA GPUs and driver, with nvidia-smi or from the kernel module."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from envgen.core.process import run

MODULE = Path("/proc/driver/nvidia/version")
QUERY = ("--query-gpu=driver_version,name,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU: its name, and its memory in bytes (0: unknown)."""

    name: str
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """The driver's version (empty: no driver), the GPUs, and what is wrong with the driver, if anything."""

    driver: str = ""
    gpus: tuple[Gpu, ...] = ()
    trouble: str = ""

    @property
    def branch(self) -> int:
        """The driver's branch, as in 535 of 535.104.05; 0 without a driver."""
        return int(self.driver.partition(".")[0] or 0)


def find_gpus(env: Mapping[str, str]) -> Gpus:
    """Asks the nvidia-smi on the PATH of `env`; without one, reads the kernel module."""
    program = shutil.which("nvidia-smi", path=env.get("PATH", ""))
    module = MODULE.read_text(encoding="utf-8", errors="replace") if MODULE.is_file() else ""
    if program is None:
        driver = parse_module(module)
        return Gpus(driver=driver, trouble="no nvidia-smi on PATH: the driver is loaded, but its GPUs are unknown" if driver else "")
    finished = run([program, *QUERY], env=env)
    if finished.code != 0:
        output = " ".join((finished.stdout + finished.stderr).split()) or f"no output, exit code {finished.code}"
        return Gpus(driver=parse_module(module), trouble=f"nvidia-smi: {output}")
    return parse_query(finished.stdout)


def parse_query(text: str) -> Gpus:
    """Parses nvidia-smi's output for QUERY: a line for each GPU, with the memory in MiB or a word in its place."""
    rows = [[field.strip() for field in line.split(",")] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 3 and re.fullmatch(r"\d+(\.\d+)+", row[0])]
    if not rows:
        return Gpus(trouble=f"nvidia-smi: {text.strip()}" if text.strip() else "")
    gpus = tuple(Gpu(name=name, memory=int(memory) << 20 if memory.isdigit() else 0) for _, name, memory in rows)
    return Gpus(driver=rows[0][0], gpus=gpus)


def parse_module(text: str) -> str:
    """The driver's version in the text of MODULE, empty if it has none."""
    match = re.search(r"Kernel Module\D.*?\s(\d+\.\d+(\.\d+)?)\s", text)
    return match[1] if match else ""
