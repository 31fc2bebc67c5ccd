"""A git repository, read without touching its work tree: what a revision is, and the files it has below a folder.

Nothing that its own configuration names is run.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from envgen.core.errors import UsageError
from envgen.core.process import Completed, run_binary
from envgen.core.settings import Settings
from envgen.core.toml import suggestion

RECENT = 10
"""Branches and tags that an unknown revision is compared with, the latest first."""

_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitRepo:
    """The repository that the folder `folder` is in, if it is in one."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        # A blob that a partial clone has not is fetched, but nobody is asked for a password.
        self._env = {**settings.environment(), "GIT_TERMINAL_PROMPT": "0"}
        self._folder = folder
        self._harmless: Mapping[str, str] | None = None

    def commit(self, revision: str) -> str:
        """The full name of the commit that `revision` stands for.

        Raises UsageError when there is none, no repository, or no git.
        """
        if revision.startswith("-"):
            raise UsageError(revision, "found a leading '-', which no git revision has", hint="name a branch, a tag or a commit")
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        # In two steps: some ways to write a revision, as in :/WORD, take all that follows as theirs.
        name = found.stdout.decode(errors="replace").strip()
        whole = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if _OBJECT.fullmatch(name) else found
        if whole.code != 0 or not _OBJECT.fullmatch(name):
            raise self._unknown(revision, found.stderr)
        return whole.stdout.decode().strip()

    def files(self, commit: str, folder: str) -> Iterator[tuple[str, str]]:
        """The files that `commit` has below `folder` of ours: each path, as seen from ours, with the name of its content.

        `commit` is as from `commit()`. Raises UsageError when git can't read it.
        """
        listed = self._checked("ls-tree", "-r", "-z", commit, "--", folder)
        for entry in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            kind, _, path = entry.partition("\t")
            mode, _, blob = kind.split(" ")
            # Neither links nor other repositories.
            if mode.startswith("100"):
                yield path, blob

    def content(self, blob: str) -> bytes:
        """The content called `blob`, as from `files()`. Raises UsageError when git can't read it."""
        return self._checked("cat-file", "blob", blob)

    def changed_since(self, revision: str) -> frozenset[str]:
        """The files that are not as they were in `revision`, new ones included; paths as seen from our folder, with slashes.

        Raises UsageError as `commit` does.
        """
        commit = self.commit(revision)
        changed = self._checked("diff", "--no-ext-diff", "--no-textconv", "--name-only", "--no-renames", "--relative", "-z", commit, "--")
        new = self._checked("ls-files", "--others", "--exclude-standard", "-z")
        return frozenset(name.decode(errors="surrogateescape") for name in (changed + new).split(b"\0") if name)

    def _unknown(self, revision: str, stderr: str) -> UsageError:
        """Why there is no such revision, with what to do about it."""
        here = self._git("rev-parse", "--is-shallow-repository")
        if here.code != 0:
            return self._refused(here.stderr)
        if self._git("rev-parse", "--verify", "--quiet", "HEAD").code != 0:
            return UsageError(revision, "this git repository has no commit yet", hint="commit the locks, or compare folders")
        if ".." in revision:
            first, _, second = revision.partition("..")
            hint = f"write them apart: envgen diff {first or 'HEAD'} {second.lstrip('.') or 'HEAD'}"
            return UsageError(revision, "found a range, expected one git revision", hint=hint)
        if here.stdout.strip() == b"true":
            hint = "fetch the rest: git fetch --unshallow (with actions/checkout: fetch-depth: 0)"
            return UsageError(revision, "there is no such git revision in this clone, which is shallow", hint=hint)
        refs = self._git("for-each-ref", "--sort=-committerdate", f"--count={RECENT}", "--format=%(refname:short)")
        known = tuple(refs.stdout.decode(errors="replace").split())
        problem = "there is no such git revision" + (f": {_reason(stderr)}" if stderr.strip() else "")
        return UsageError(revision, problem, hint=suggestion(revision, known))

    def _refused(self, stderr: str) -> UsageError:
        """What git says where it does not even look, as in no repository, or in somebody else's."""
        cure = next((line.strip() for line in stderr.splitlines() if line.strip().startswith("git config")), "")
        where = str(self._folder)
        if "not a git repository" in stderr:
            return UsageError(where, "not in a git repository", hint="compare two folders or files of locks: envgen diff OLD locks")
        return UsageError(where, f"git can't read it: {_reason(stderr)}", hint=cure or "see: git status")

    def _checked(self, *arguments: str) -> bytes:
        found = self._git(*arguments)
        if found.code != 0:
            raise UsageError(f"git {arguments[0]}", f"failed: {_reason(found.stderr)}", hint="is the repository whole? see: git fsck")
        return found.stdout

    def _git(self, *arguments: str) -> Completed[bytes]:
        program = shutil.which("git", path=self._env.get("PATH", ""))
        if not program:
            raise UsageError("git", "no git command on PATH", hint="install git, or compare folders: envgen diff OLD locks")
        if self._harmless is None:
            listed = self._output(program, "config", "--list", "--show-scope", "--name-only", "-z", variables=harmless(b""))
            self._harmless = harmless(listed.stdout if listed.code == 0 else b"")
        return self._output(program, *arguments, variables=self._harmless)

    def _output(self, program: str, *arguments: str, variables: Mapping[str, str]) -> Completed[bytes]:
        return run_binary([program, *arguments], env={**self._env, **variables}, cwd=self._folder)


def _reason(stderr: str) -> str:
    first = next((line for line in stderr.splitlines() if line.strip()), "no output")
    return first.removeprefix("fatal: ").removeprefix("error: ")


ALWAYS = {
    "safe.bareRepository": "explicit",
    "core.fsmonitor": "",
    "core.hooksPath": "/dev/null",
    "core.alternateRefsCommand": "true",
    "diff.ignoreSubmodules": "dirty",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
"""What git is told whatever the repository says: no such repository is entered, and nothing of it is run. Asked whether a file in
another repository is changed, git would run itself in there."""

_PROGRAMS = (
    (re.compile(r"filter\..*\.(clean|smudge|process)", re.DOTALL), ""),
    (re.compile(r"filter\..*\.required", re.DOTALL), "false"),
    (re.compile(r"remote\..*\.vcs", re.DOTALL), ""),
    (re.compile(r"credential\.(.*\.)?helper", re.DOTALL), ""),
    (re.compile(r"core\.sshcommand"), "ssh"),
    (re.compile(r"core\.askpass"), ""),
)
"""Settings with a name in them that run a program, and what each is set to where the repository sets it: some are a user's own too."""

_WAYS = (
    ("file", re.compile(r"remote\..*\.uploadpack", re.DOTALL)),
    ("git", re.compile(r"core\.gitproxy")),
    ("http", None),
    ("https", None),
    ("ssh", None),
)
"""How the rest of a partial clone may be fetched, each but where the repository sets a program for it, of which git takes the first
that is set, and not the last. All other ways run a command that the address names."""

USERS = ("system", "global")
"""Where the settings of the machine and of its user come from."""


def harmless(listed: bytes) -> Mapping[str, str]:
    """The variables by which git runs nothing of a repository's; `listed` is what `git config --list --show-scope --name-only -z` says."""
    words = listed.decode(errors="surrogateescape").split("\0")
    names = sorted({name for scope, name in zip(words[::2], words[1::2], strict=False) if scope not in USERS})
    settings = {**ALWAYS, **{name: value for name in names for form, value in _PROGRAMS if form.fullmatch(_lower(name))}}
    ways = (way for way, form in _WAYS if form is None or not any(form.fullmatch(_lower(name)) for name in names))
    found = {"GIT_ALLOW_PROTOCOL": ":".join(ways), "GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _lower(name: str) -> str:
    """A setting as git compares it: without case, but for what is between the dots."""
    first, *middle, last = name.split(".")
    return ".".join((first.lower(), *middle, last.lower()))
