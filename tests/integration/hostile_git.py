"""Git repositories whose own configuration names programs: each would make the file MARK, did git run one."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.core.git import GitRepo
from envgen.core.settings import read_settings

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
TIMES = itertools.count(1)
MARK = "envgen-git-was-here"
LOCK = "locks/small/py311-linux-amd64/envgen.lock"
REMOTE = {"core.repositoryFormatVersion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true"}
"""A clone that lacks a file, which git fetches when it is asked for."""


def git(folder: Path, *arguments: str, check: bool = True) -> bytes:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=check, capture_output=True, timeout=60)
    return done.stdout


def configure(folder: Path, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        git(folder, "config", name, value)


def program(folder: Path, name: str = "program") -> str:
    """A program that makes the mark, and fails."""
    path = folder.parent / name
    path.write_text(f"#!/bin/sh\ntouch '{folder.parent / MARK}'\nexit 1\n")
    path.chmod(0o755)
    return str(path)


def attributes(folder: Path, text: str) -> None:
    (folder / ".gitattributes").write_text(f"* {text}\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "attributes")
    later(folder)


def later(folder: Path) -> None:
    """Makes git look into a file again: it is not as the index knows it."""
    os.utime(folder / LOCK, (1, next(TIMES)))


def without_lock(folder: Path) -> None:
    """Takes the content of the lock out of the repository."""
    name = git(folder, "rev-parse", f"HEAD:{LOCK}").decode().strip()
    (folder / ".git" / "objects" / name[:2] / name[2:]).unlink()


def fsmonitor(folder: Path) -> None:
    configure(folder, {"core.fsmonitor": f"{program(folder)}; false"})


def hooks(folder: Path) -> None:
    for name in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        path = folder / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(Path(program(folder)).read_text())
        path.chmod(0o755)
    later(folder)


def hooks_elsewhere(folder: Path) -> None:
    configure(folder, {"core.hooksPath": str(folder.parent / "hooks")})
    (folder.parent / "hooks").mkdir()
    for name in ("post-index-change", "pre-auto-gc"):
        program(folder, f"hooks/{name}")
    later(folder)


def clean(folder: Path) -> None:
    attributes(folder, "filter=x")
    configure(folder, {"filter.x.clean": program(folder)})


def clean_that_is_required(folder: Path) -> None:
    attributes(folder, "filter=X.y.Z")
    configure(folder, {"filter.X.y.Z.clean": program(folder), "filter.X.y.Z.required": "true"})


def process(folder: Path) -> None:
    attributes(folder, "filter=x")
    configure(folder, {"filter.x.process": program(folder), "filter.x.clean": program(folder)})


def included(folder: Path) -> None:
    attributes(folder, "filter=x")
    (folder.parent / "more").write_text(f'[filter "x"]\n\tclean = {program(folder)}\n[core]\n\tfsmonitor = {program(folder)}\n')
    configure(folder, {"include.path": str(folder.parent / "more")})


def external_diff(folder: Path) -> None:
    configure(folder, {"diff.external": program(folder)})
    attributes(folder, "diff=x")
    configure(folder, {"diff.x.command": program(folder), "diff.x.textconv": program(folder)})
    (folder / LOCK).write_text("changed\n")


def another_repository_inside(folder: Path) -> None:
    inside = folder / "inside"
    inside.mkdir()
    git(inside, "init", "--quiet")
    (inside / "file").write_text("x\n")
    git(inside, "add", "--all")
    git(inside, "commit", "--quiet", "--message", "inside")
    git(folder, "add", "inside")
    git(folder, "commit", "--quiet", "--message", "with a repository")
    configure(inside, {"core.fsmonitor": f"{program(folder)}; false"})
    (inside / "file").write_text("y\n")


def fetched(settings: Callable[[Path], Mapping[str, str]]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        without_lock(folder)
        configure(folder, {**REMOTE, **settings(folder)})

    return make


def words(folder: Path) -> str:
    return program(folder).replace(" ", "% ")


ATTACKS: dict[str, Callable[[Path], None]] = {
    "fsmonitor": fsmonitor,
    "hooks": hooks,
    "hooks elsewhere": hooks_elsewhere,
    "a filter": clean,
    "a filter that is required": clean_that_is_required,
    "a filter that goes on": process,
    "an included file": included,
    "diff": external_diff,
    "a repository inside": another_repository_inside,
    "an address that is a command": fetched(
        lambda folder: {"remote.origin.url": f"ext::{words(folder)} %S", "protocol.ext.allow": "always", "protocol.allow": "always"}
    ),
    "ssh": fetched(lambda folder: {"remote.origin.url": "ssh://127.0.0.1:1/x", "core.sshCommand": program(folder)}),
    "git-upload-pack": fetched(lambda folder: {"remote.origin.url": str(folder), "remote.origin.uploadpack": program(folder)}),
    "a helper of its own": fetched(
        lambda folder: {"remote.origin.url": f"{words(folder)} %S", "remote.origin.vcs": "ext", "protocol.ext.allow": "always"}
    ),
    "a proxy": fetched(lambda folder: {"remote.origin.url": "git://127.0.0.1:1/x", "core.gitProxy": program(folder)}),
}


def repository(folder: Path) -> Path:
    """A repository with something like a lock in it."""
    path = folder / LOCK
    path.parent.mkdir(parents=True)
    path.write_text("a lock\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def hidden_in_a_folder(folder: Path) -> Path:
    """A clone of a repository that has a bare one among its files; the folder of that one."""
    source = folder / "source"
    repository(source)
    bare = source / "sub"
    git(source, "init", "--quiet", "--bare", str(bare))
    git(bare, "--git-dir=.", "config", "core.bare", "false")
    git(bare, "--git-dir=.", "config", "core.worktree", ".")
    git(bare, "--git-dir=.", "config", "core.fsmonitor", f"{program(folder / 'clone')}; false")
    for name in ("objects/keep", "refs/keep", "locks/x"):
        (bare / name).parent.mkdir(exist_ok=True)
        (bare / name).write_text("x\n")
    git(bare, "--git-dir=.", "--work-tree=.", "add", "locks")
    git(bare, "--git-dir=.", "--work-tree=.", "commit", "--quiet", "--message", "hidden")
    git(source, "add", "--all", "--force")
    git(source, "commit", "--quiet", "--message", "a folder")
    git(folder, "clone", "--quiet", f"file://{source}", "clone")
    for path in (folder / MARK,):
        path.unlink(missing_ok=True)
    return folder / "clone" / "sub"


def ask_everything(folder: Path) -> None:
    """All that envgen asks git, of the repository in `folder`."""
    found = GitRepo(read_settings(os.environ, folder), folder)
    for question in (lambda: _read(found), lambda: found.changed_since("HEAD"), lambda: found.commit("nothing")):
        with suppress(UsageError):
            question()


def _read(found: GitRepo) -> Iterator[bytes] | None:
    for _, blob in found.files(found.commit("HEAD"), "locks"):
        found.content(blob)
    return None


def plain_git(folder: Path) -> None:
    """The same, by git as it is."""
    for words_of in (
        ("diff", "--name-only", "HEAD", "--"),
        ("diff", "HEAD", "--"),
        ("ls-files", "--others"),
        ("cat-file", "blob", f"HEAD:{LOCK}"),
    ):
        if (folder / LOCK).exists():
            later(folder)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(["git", *words_of], cwd=folder, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=10)
