"""Phase static-files: the environment has exactly what the locked wheels and the base's Python put there.

Runs with `python -I -S`, so that nothing it examines is imported.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections import defaultdict
from pathlib import Path

import bytecode
import environment
import harness
import processes
import skeleton
import versions

# Every build sets this one modification time, so that a layer is a function of its content.
EPOCH = 315532800
_BLOCK = 1 << 20


def python_version(job: harness.Job) -> str:
    """The interpreter has the full version that the lock was made for."""
    expected, found = harness.text(job, "python"), platform.python_version()
    if found != expected:
        raise harness.Failed(f"Python {found} (expected {expected})")
    return f"Python {found}"


def distributions(job: harness.Job) -> str:
    """The .dist-info folders in site-packages are the locked distributions, in their versions."""
    image = environment.of(job)
    locked = job.get("distributions")
    if not isinstance(locked, dict):
        raise harness.Failed(f"unexpected type {type(locked).__name__} (expected object) in the job at 'distributions'")
    expected = {versions.name(name): versions.normal(str(version)) for name, version in locked.items()}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for folder in Path(image.prefix, image.site_packages).glob("*.dist-info"):
        name, version = versions.of_dist_info(folder)
        found[name].append(version)
    findings = [f"{name} {version}: missing" for name, version in expected.items() if name not in found]
    for name, present in found.items():
        if name not in expected:
            findings.append(f"{name} {', '.join(present)}: not in the lock")
        elif present != [expected[name]]:
            findings.append(f"{name} {', '.join(sorted(present))}: not as locked (expected {expected[name]})")
    environment.report(findings)
    return f"{len(found)} distributions, as locked"


def files(job: harness.Job) -> str:
    """Every file of a wheel exists, with its content and mode."""
    image = environment.of(job)
    tasks = [(f"{image.prefix}/{path}", tuple(file["sha256"]), file["executable"]) for path, file in image.files.items()]
    environment.report(processes.run(_file_problem, tasks))
    several = sum(len(file["sha256"]) > 1 for file in image.files.values())
    note = f"; {several} of them are in several wheels with different contents" if several else ""
    return f"{len(tasks)} files, as in the wheels{note}"


def _file_problem(task: tuple[str, tuple[str, ...], bool | None]) -> str | None:
    """Compare one file with its allowed contents; `executable` None allows both."""
    path, contents, executable = task
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return f"{path}: missing"
    if not stat.S_ISREG(mode):
        return f"{path}: a {'symbolic link' if stat.S_ISLNK(mode) else 'special file'} (expected a file)"
    if executable is not None and mode & 0o7111 != (0o111 if executable else 0):
        return f"{path}: mode {stat.S_IMODE(mode):o} (expected {'' if executable else 'not '}executable)"
    digest = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return None if digest.hexdigest() in contents else f"{path}: sha256 {digest.hexdigest()} (expected {contents[0]})"


def byte_code(job: harness.Job) -> str:
    """Every source has the byte code that this Python compiles, with an unchecked hash."""
    findings, summary = bytecode.examine_all(environment.of(job))
    environment.report(findings)
    return summary


def foreign_files(job: harness.Job) -> str:
    """The environment has only files of wheels, their byte code, and a correct skeleton."""
    image, version = environment.of(job), harness.text(job, "python")
    byte_code_paths = set(image.sources.values())
    known_files = {skeleton.CONFIGURATION, *image.files, *byte_code_paths}
    known_folders = {".", *skeleton.folders(image.site_packages)}
    known_folders |= environment.folders((*known_files, *(f"{folder}/any" for folder in image.directories)))
    known_links = skeleton.links(version)
    findings = skeleton.problems(image.prefix, version)
    count = 0
    for entry in environment.walk(image.prefix):
        count += 1
        kind, known = "a special file", False
        if entry.is_directory:
            kind, known = "a folder", entry.path in known_folders
        elif entry.is_symlink:
            kind, known = f"a link to {Path(image.prefix, entry.path).readlink()}", entry.path in known_links
        elif entry.is_file:
            kind, known = "a file", entry.path in known_files
        if not known:
            findings.append(f"{entry.path}: {kind} that is in no wheel")
    environment.report(findings)
    return f"{count} entries, all accounted for"


def mtimes(job: harness.Job) -> str:
    """Every modification time is the constant one."""
    count, findings = 0, []
    for entry in environment.walk(environment.of(job).prefix):
        count += 1
        if entry.status.st_mtime_ns != EPOCH * 10**9:
            findings.append(f"{entry.path}: {entry.status.st_mtime:.3f} (expected {EPOCH})")
    environment.report(findings)
    return f"{count} modification times, all {EPOCH}"


def not_writable(job: harness.Job) -> str:
    """The user who runs this can't change anything.

    Checks owner and mode, not os.access, which is always false on a read-only file system.
    """
    user, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
    count, findings = 0, []
    for entry in environment.walk(environment.of(job).prefix):
        count += 1
        status = entry.status
        mode = stat.S_IMODE(status.st_mode)
        if not entry.is_symlink and mode & 0o002:
            findings.append(f"{entry.path}: mode {mode:o}, anyone can write to it")
        elif user and not entry.is_symlink and mode & 0o020 and status.st_gid in groups:
            findings.append(f"{entry.path}: mode {mode:o}, group {status.st_gid} can write to it")
        elif user and status.st_uid == user:
            findings.append(f"{entry.path}: belongs to the user {user}, who runs this")
    environment.report(findings)
    if not user:
        raise harness.NotRun(f"root may write anywhere; for anyone else, {count} entries are closed")
    return f"{count} entries, none writable for user {user}"


CHECKS: harness.Checks = (
    ("python-version", python_version),
    ("distributions", distributions),
    ("files", files),
    ("byte-code", byte_code),
    ("foreign-files", foreign_files),
    ("mtimes", mtimes),
    ("not-writable", not_writable),
)
