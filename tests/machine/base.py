"""The base image: the profile's own where the registry answers, else a Debian of the same release with its Python."""

from __future__ import annotations

import os
import platform
import shlex
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apt
import oci
from common import CHECKOUT, STATE, MachineError, attempt, need_root, remove_tree, run, say, substituted
from sources import sources_for

PROFILE = CHECKOUT / "profiles" / "cpu-base.toml"
FOLDER = STATE / "base"
CODENAME = "bookworm"  # Debian 12, the release of the profile's base; its Python is 3.11 too
TAG = f"envgen-debian:{CODENAME}"
EPOCH = "315532800"  # the constant instant envgen builds with: the same packages give the same file
PACKAGES = ("python3", "python3-pip", "ca-certificates")
SETTINGS: dict[str, object] = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["python3.11"],
}
# What makes a command believe that it runs on another machine.
ELSEWHERE = ("unshare", "--uts", "env", "TZ=Pacific/Kiritimati", "sh", "-c", 'umask 077; hostname elsewhere; exec "$@"', "sh")
# What a slim base does without, and what names this machine (its host name, name server and package mirror) or differs
# by the version of mmdebstrap.
UNWANTED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")
MACHINE_FILES = (
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list.d/*",
    "var/lib/apt/extended_states",
    "var/lib/apt/lists/lock",
    "var/cache/apt/archives/lock",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "var/log/apt",
    "var/log/*.log",
)


def profile() -> dict[str, Any]:
    """The profile `cpu-base`; empty when it does not exist."""
    return tomllib.loads(PROFILE.read_text("utf-8")) if PROFILE.is_file() else {}


def locked_base() -> str | None:
    """The base that the profile names."""
    base = profile().get("python", {}).get("3.11", {}).get("base")
    return base if isinstance(base, str) else None


def can_pull(reference: str, env: Mapping[str, str]) -> bool:
    """Fetch an image; the registry is asked first, so that one that never answers costs seconds."""
    if attempt(["docker", "buildx", "imagetools", "inspect", reference], env=env, timeout=20) is None:
        return False
    say(f"base: pulling {reference}")
    return attempt(["docker", "pull", "--quiet", reference], env=env, timeout=600) is not None


def has_image(reference: str, env: Mapping[str, str]) -> bool:
    """Whether the engine has this image."""
    return attempt(["docker", "image", "inspect", reference], env=env) is not None


def bootstrap(target: Path, *, prefix: Sequence[str] = ()) -> None:
    """Make a minimal Debian with Python as a tar file, from the machine's own mirror; its own CA stays outside.

    The words of `prefix` come before the command.
    """
    need_root("making a Debian base image")
    apt.install(["mmdebstrap"])
    own, _ = apt.release()
    FOLDER.mkdir(parents=True, exist_ok=True)
    sources = FOLDER / f"{CODENAME}.sources"
    sources.write_text(sources_for(CODENAME, own=own), encoding="utf-8")
    command: list[str | Path] = [*prefix, "mmdebstrap", "--mode=root", "--variant=apt", "--format=tar", "--quiet"]
    command += [f"--include={','.join(PACKAGES)}", '--aptopt=Acquire::Languages "none"']
    command += ['--aptopt=APT::Sandbox::User "root"']  # apt's own user can't read a checkout in somebody's home
    # A power cut during the bootstrap costs us nothing but a new one, so nothing waits for the disk.
    command += ["--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude={path}" for path in UNWANTED)]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    command += [f'--customize-hook=cd "$1" && rm -rf {" ".join(MACHINE_FILES)}']
    command += [CODENAME, target, sources]
    temporary = FOLDER / "tmp"
    remove_tree(temporary)
    temporary.mkdir(mode=0o755)
    env = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "TMPDIR": os.fspath(temporary)}
    run(command, env=env, hint="check that the Debian mirror can be reached")
    remove_tree(temporary)


def make_archive(archive: Path, *, prefix: Sequence[str] = ()) -> str:
    """Make the base as an archive on disk; its digest."""
    say(f"base: making a Debian {CODENAME} with Python 3.11 (about a minute)")
    root = FOLDER / "root.tar"
    bootstrap(root, prefix=prefix)
    unfinished = archive.with_suffix(".part")
    digest = oci.write_image(root, unfinished, name=TAG, machine=platform.machine(), settings=SETTINGS)
    root.unlink()
    unfinished.replace(archive)
    return digest


def make_twice() -> None:
    """Make the base twice, the second time under another host name, umask and time zone; both must have one digest."""
    archive = FOLDER / "again.oci.tar"
    try:
        first = make_archive(archive)
        second = make_archive(archive, prefix=ELSEWHERE)
    finally:
        archive.unlink(missing_ok=True)
    if first != second:
        raise MachineError(f"base: made twice, found {first} and {second}", "did Debian's packages move in between? try again")
    say(f"base: made twice, and twice it is {first}")


def digest(env: Mapping[str, str]) -> str:
    """The digest of the base in the engine: the same on every machine, as long as Debian's packages are."""
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", TAG], env=env).strip()


def check(env: Mapping[str, str]) -> None:
    """Make sure that the base has what a build asks of it."""
    script = "python3.11 -m pip --version && python3.11 -m venv --without-pip /tmp/e && /tmp/e/bin/python -c pass"
    command = ["docker", "run", "--rm", "--network=none", TAG, "sh", "-c", script]
    run(command, env=env, hint=f"remove it with {shlex.join(['rm', '-r', '.machine/base'])}, then try again")


def ensure(env: Mapping[str, str]) -> str | None:
    """Make sure that there is a base. The image that stands in for the profile's, or None when that one is there."""
    locked = locked_base()
    if os.environ.get("ENVGEN_REGISTRY_MIRROR"):
        say("base: ENVGEN_REGISTRY_MIRROR is set, so envgen fetches the profile's base itself")
        return None
    if locked is not None and (has_image(locked, env) or can_pull(locked, env)):
        say(f"base: using {locked}")
        return None
    started = time.monotonic()
    if not has_image(TAG, env):
        archive = FOLDER / f"{CODENAME}.oci.tar"
        if not archive.exists():
            make_archive(archive)
        run(["docker", "load", "--quiet", "--input", archive], env=env)
        check(env)
        say(f"base: {TAG} is {digest(env)} ({time.monotonic() - started:.0f} s)")
    substituted(locked or "the profile's base image", f"{TAG}, made of Debian packages", "no image registry answers")
    return TAG
