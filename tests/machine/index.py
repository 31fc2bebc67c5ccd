"""The PyTorch index: the profile's own where it answers, else its wheel from pip's find-links, served on loopback."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import base
import processes
import tool
from common import STATE, MachineError, attempt, remove_tree, say, substituted, wait_until

NAME = "pytorch-cpu"
VARIABLE = "ENVGEN_INDEX_PYTORCH_CPU"
FOLDER = STATE / "index"
ADDRESS = STATE / "run" / "index.url"
LOOPBACK = "127.0.0.1"


def answers(url: str, package: str) -> bool:
    """Whether an index lists this package."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/{package}/", timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def find_links() -> list[Path]:
    """The folders that pip's own configuration and environment name as find-links."""
    values = [os.environ.get("PIP_FIND_LINKS", "")]
    for line in (attempt([tool.PYTHON, "-m", "pip", "config", "list"]) or "").splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".find-links"):
            values.append(str(ast.literal_eval(value)))
    words = [word for value in values for word in value.split()]
    paths = [Path(unquote(urlsplit(word).path)) if word.startswith("file:") else Path(word) for word in words]
    return [path for path in dict.fromkeys(paths) if path.is_dir()]


def wheels(package: str) -> Iterator[Path]:
    """The CPU builds of a package that lie in pip's find-links folders; only such builds are on the real index."""
    pattern = re.compile(rf"{re.escape(package)}-[^-]+\+cpu-.*\.whl")
    for folder in find_links():
        yield from (path for path in sorted(folder.iterdir()) if pattern.fullmatch(path.name))


def fill(packages: list[str]) -> None:
    """Lay out the folder that is served: one folder a package, with its wheels."""
    remove_tree(FOLDER)
    for package in packages:
        (FOLDER / package).mkdir(parents=True)
        for wheel in wheels(package):
            put(wheel, FOLDER / package / wheel.name)
        if not any((FOLDER / package).iterdir()):
            raise MachineError(
                f"{package}: its index does not answer, and no {package}-*+cpu-*.whl is in pip's find-links folders"
                f" ({', '.join(map(str, find_links())) or 'there are none'})",
                f"{VARIABLE}=URL-OR-FOLDER python3 tests/machine …, or PIP_FIND_LINKS=FOLDER with that wheel",
            )


def put(wheel: Path, target: Path) -> None:
    """Give a wheel a second name, or copy it to another file system: the server serves no symbolic links."""
    if target.exists():
        return
    try:
        os.link(wheel.resolve(), target)
    except OSError:
        shutil.copy2(wheel, target)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def serve(packages: list[str]) -> str:
    """Serve the wheels; the address of the index, the running one's where it serves already."""
    if processes.running("index") and ADDRESS.is_file():
        address = ADDRESS.read_text("utf-8")
        if all(answers(address, package) for package in packages):
            return address
    processes.stop("index")
    fill(packages)
    port = free_port()
    command: list[str | Path] = [tool.VENV / "bin" / "simple-repository-server", FOLDER]
    command += ["--host", LOOPBACK, "--port", str(port)]
    address = f"http://{LOOPBACK}:{port}/simple"
    say(f"index: serving {', '.join(packages)} at {address}")
    processes.start("index", command)
    ADDRESS.write_text(address, encoding="utf-8")
    wait_until(lambda: answers(address, packages[0]) or not processes.running("index"), seconds=30)
    if not answers(address, packages[0]):
        tail = processes.log_tail("index")
        processes.stop("index")
        raise MachineError(f"simple-repository-server: no answer at {address}{tail}", "rm -r .machine/venv, try again")
    return address


def ensure() -> str | None:
    """Make sure that the profile's index answers. The address of the stand-in, or None when there is none."""
    if os.environ.get(VARIABLE):
        say(f"index: using {VARIABLE} as it is set")
        return None
    profile = base.profile()
    about = profile.get("index", {}).get(NAME, {})
    # It is mapped for torchvision and its kin too, which the shipped profiles do not require.
    required = {re.split(r"[^A-Za-z0-9._-]", text.strip(), maxsplit=1)[0] for text in profile.get("requirements", [])}
    url, packages = about.get("url", ""), [package for package in about.get("packages", []) if package in required]
    if not packages or all(answers(url, package) for package in packages):
        say(f"index: using {url or 'none'}")
        return None
    address = serve(packages)
    substituted(url, f"{address}, serving wheels of pip's find-links,", "it does not answer")
    return address
