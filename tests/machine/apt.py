"""Installing Debian packages without touching /etc/apt: sources, lists, caches and pins are our own."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common import STATE, MachineError, attempt, need_root, remove_tree, run, say
from sources import os_release, sources_for

APT = STATE / "apt"
LISTS_ARE_FRESH = 6 * 3600
POLICY = Path("/usr/sbin/policy-rc.d")
NEWER = "trixie"  # Debian 13, the first release whose Docker Engine has BuildKit >= 0.13 and a buildx
ENGINE_PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd")


def release() -> tuple[str, int]:
    """The codename and the number of this machine's Debian release."""
    facts = os_release()
    number = facts.get("VERSION_ID", "")
    if facts.get("ID") != "debian" or not number.isdigit() or int(number) < 12:
        raise MachineError(
            f"/etc/os-release: found {facts.get('PRETTY_NAME', 'no name')}, expected Debian 12 or newer",
            "install the missing part yourself (Docker Engine with buildx, python3-venv), then try again",
        )
    return facts["VERSION_CODENAME"], int(number)


def options() -> list[str]:
    """The apt options that keep all of apt's state in our folder; the machine's proxy and other settings stay."""
    places = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": APT / "sources.list.d",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": APT / "preferences.d",
        "Dir::State::lists": APT / "lists",
        "Dir::Cache": APT / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        # apt's own download user can't read a checkout in somebody's home.
        "APT::Sandbox::User": "root",
        "DPkg::Lock::Timeout": "120",
    }
    return [word for key, value in places.items() for word in ("-o", f"{key}={value}")]


def write_sources() -> None:
    """Write our sources: the machine's own release and, where that is too old for the engine, the newer one.

    The newer release is pinned below everything, and only the engine's packages above: nothing else comes from it.
    """
    codename, number = release()
    wanted = {codename: sources_for(codename, own=codename)}
    pins = ""
    if number < 13:
        wanted[NEWER] = sources_for(NEWER, own=codename)
        for packages, priority in (("*", 100), (" ".join(ENGINE_PACKAGES), 990)):
            pins += f"Package: {packages}\nPin: release n={NEWER}*\nPin-Priority: {priority}\n\n"
    for folder in ("sources.list.d", "preferences.d", "lists/partial", "cache/archives/partial"):
        (APT / folder).mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (APT / "sources.list.d" / f"{name}.sources").write_text(text, encoding="utf-8")
    (APT / "preferences.d" / "machine").write_text(pins, encoding="utf-8")


def update() -> None:
    """Fetch the package lists unless the ones we have are of today and for the same sources."""
    described = "\n".join(path.read_text("utf-8") for path in sorted((APT / "sources.list.d").iterdir()))
    stamp = APT / "updated"
    same = stamp.exists() and stamp.read_text("utf-8") == described
    if same and 0 <= time.time() - stamp.stat().st_mtime < LISTS_ARE_FRESH:
        return
    say("apt: fetching package lists (into .machine, the machine's own stay as they are)")
    run(["apt-get", *options(), "-q", "update"], hint="check that the machine's Debian mirror can be reached")
    stamp.write_text(described, encoding="utf-8")


def is_installed(package: str) -> bool:
    """Whether dpkg has this package, complete."""
    status = attempt(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package])
    return status is not None and re.match(r"[ih]i ", status) is not None


@contextmanager
def no_services() -> Iterator[None]:
    """Keep packages from starting services while they are installed: we start our own engine, with our own settings."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(packages: Iterable[str]) -> None:
    """Install those packages that are missing; the engine's come from Debian 13 where the machine is older."""
    missing = [package for package in packages if not is_installed(package)]
    if not missing:
        return
    need_root(f"apt-get install {' '.join(missing)}")
    if shutil.which("apt-get") is None:
        raise MachineError("apt-get: not found, expected a Debian machine", f"install these: {' '.join(missing)}")
    write_sources()
    update()
    say(f"apt: installing {' '.join(missing)}")
    command = ["apt-get", *options(), "-q", "-y", "--no-install-recommends", "install", *missing]
    with no_services():
        run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            hint="if a download failed try again; if dpkg was interrupted before: dpkg --configure -a",
            unbroken=True,
        )
    remove_tree(APT / "cache")
