"""A container on the caller's own standard streams: the words and variables that the docker command is given for it."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from envgen.engine import RunRequest
from envgen.engine.run import TMPFS

SHARED_MEMORY = "2g"
"""The limit of /dev/shm. Docker's own, 64 MB, is too little for the workers of a DataLoader, which hand tensors over through it
and end in a bus error when it is full. Only what is written there takes memory."""


def attached_command(order: RunRequest, known: Mapping[str, str], *, terminal: bool) -> tuple[list[str], dict[str, str]]:
    """The words after `docker` that run `order`, and the variables that the docker command needs beside those in `known`.

    Values go by way of docker's own environment: what stands on a command line can be read by everybody on the machine.
    """
    words = ["run", "--rm", "--interactive", "--init", "--pull", "never", "--read-only", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges", "--shm-size", SHARED_MEMORY, "--network", order.network]
    words += [word for path, options in TMPFS.items() for word in ("--tmpfs", f"{path}:{options}")]
    words += [word for mount in order.mounts for word in ("--mount", _mount(*mount))]
    variables = {}
    for name, value in order.environment.items():
        if known.get(name, value) == value:
            variables[name] = value
            words += ["--env", name]
        else:  # docker itself wants another value of it, as of SSL_CERT_FILE, a path here and another one there
            words += ["--env", f"{name}={value}"]
    if terminal:
        words.append("--tty")
    if order.gpus:
        words += ["--gpus", "all" if order.gpus == "all" else f'"device={order.gpus}"']
    for option, text in (("--user", order.user), ("--workdir", order.workdir), ("--memory", str(order.memory or ""))):
        words += [option, text] if text else []
    return [*words, order.image, *order.command], variables


def _mount(source: Path, target: str, writable: bool) -> str:
    """One mount as docker reads it: a line of CSV, so that a path may have commas and quotes in it."""
    line = io.StringIO()
    fields = ["type=bind", f"source={source.absolute()}", f"target={target}", *(() if writable else ("readonly",))]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
