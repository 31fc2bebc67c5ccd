"""Reads revisions and files from a git repository without touching its work tree.

No program named in the repository's configuration is run.
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
"""How many of the latest branches and tags are suggested for an unknown revision."""

_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitRepo:
    """The git repository that contains `folder`, if any."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        # A partial clone may fetch missing blobs, but must not prompt for a password.
        self._env = {**settings.environment(), "GIT_TERMINAL_PROMPT": "0"}
        self._folder = folder
        self._harmless: Mapping[str, str] | None = None

    def commit(self, revision: str) -> str:
        """Return the full hash of the commit that `revision` names.

        Raises UsageError if there is no such revision, no repository, or no git.
        """
        if revision.startswith("-"):
            raise UsageError(revision, "a git revision can't start with '-'", hint="use a branch, a tag or a commit")
        parsed = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        # In two steps: some revision syntaxes, such as :/WORD, would swallow the suffix.
        name = parsed.stdout.decode(errors="replace").strip()
        commit = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if _OBJECT.fullmatch(name) else parsed
        if commit.code != 0 or not _OBJECT.fullmatch(name):
            raise self._unknown(revision, parsed.stderr)
        return commit.stdout.decode().strip()

    def files(self, commit: str, folder: str) -> Iterator[tuple[str, str]]:
        """Yield the path, relative to our folder, and the blob hash of each file of `commit` below `folder`.

        `commit` is a result of `commit()`. Raises UsageError if git can't read it.
        """
        listed = self._checked("ls-tree", "-r", "-z", commit, "--", folder)
        for entry in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            kind, _, path = entry.partition("\t")
            mode, _, blob = kind.split(" ")
            # Regular files only: no symbolic links, no submodules.
            if mode.startswith("100"):
                yield path, blob

    def content(self, blob: str) -> bytes:
        """Return the content of `blob`, a hash from `files()`. Raises UsageError if git can't read it."""
        return self._checked("cat-file", "blob", blob)

    def changed_since(self, revision: str) -> frozenset[str]:
        """Return the files changed or added since `revision`, as paths relative to our folder, with slashes.

        Raises UsageError as `commit` does.
        """
        commit = self.commit(revision)
        changed = self._checked("diff", "--no-ext-diff", "--no-textconv", "--name-only", "--no-renames", "--relative", "-z", commit, "--")
        new = self._checked("ls-files", "--others", "--exclude-standard", "-z")
        return frozenset(name.decode(errors="surrogateescape") for name in (changed + new).split(b"\0") if name)

    def _unknown(self, revision: str, stderr: str) -> UsageError:
        """The error for a revision that does not exist, with a hint."""
        shallow = self._git("rev-parse", "--is-shallow-repository")
        if shallow.code != 0:
            return self._refused(shallow.stderr)
        if self._git("rev-parse", "--verify", "--quiet", "HEAD").code != 0:
            return UsageError(revision, "this git repository has no commits yet", hint="commit the locks, or compare folders")
        if ".." in revision:
            first, _, second = revision.partition("..")
            hint = f"pass them separately: envgen diff {first or 'HEAD'} {second.lstrip('.') or 'HEAD'}"
            return UsageError(revision, "found a range, expected one git revision", hint=hint)
        if shallow.stdout.strip() == b"true":
            hint = "fetch the rest: git fetch --unshallow (with actions/checkout: fetch-depth: 0)"
            return UsageError(revision, "no such git revision in this shallow clone", hint=hint)
        refs = self._git("for-each-ref", "--sort=-committerdate", f"--count={RECENT}", "--format=%(refname:short)")
        known = tuple(refs.stdout.decode(errors="replace").split())
        problem = "no such git revision" + (f": {_reason(stderr)}" if stderr.strip() else "")
        return UsageError(revision, problem, hint=suggestion(revision, known))

    def _refused(self, stderr: str) -> UsageError:
        """The error for a folder that git can't read, such as one outside a repository or owned by another user."""
        cure = next((line.strip() for line in stderr.splitlines() if line.strip().startswith("git config")), "")
        where = str(self._folder)
        if "not a git repository" in stderr:
            return UsageError(where, "not in a git repository", hint="compare two folders or lock files: envgen diff OLD locks")
        return UsageError(where, f"git can't read it: {_reason(stderr)}", hint=cure or "see: git status")

    def _checked(self, *arguments: str) -> bytes:
        completed = self._git(*arguments)
        if completed.code != 0:
            raise UsageError(f"git {arguments[0]}", f"failed: {_reason(completed.stderr)}", hint="check the repository: git fsck")
        return completed.stdout

    def _git(self, *arguments: str) -> Completed[bytes]:
        program = shutil.which("git", path=self._env.get("PATH", ""))
        if not program:
            raise UsageError("git", "not found on PATH", hint="install git, or compare folders: envgen diff OLD locks")
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
"""Settings that always override the repository's: git enters no embedded bare repository and runs nothing from it. To find changes in a
submodule, git would run itself there."""

_PROGRAMS = (
    (re.compile(r"filter\..*\.(clean|smudge|process)", re.DOTALL), ""),
    (re.compile(r"filter\..*\.required", re.DOTALL), "false"),
    (re.compile(r"remote\..*\.vcs", re.DOTALL), ""),
    (re.compile(r"credential\.(.*\.)?helper", re.DOTALL), ""),
    (re.compile(r"core\.sshcommand"), "ssh"),
    (re.compile(r"core\.askpass"), ""),
)
"""Settings that run a program, each with its override. Only those that the repository sets are overridden: users have some of their own."""

_TRANSPORTS = (
    ("file", re.compile(r"remote\..*\.uploadpack", re.DOTALL)),
    ("git", re.compile(r"core\.gitproxy")),
    ("http", None),
    ("https", None),
    ("ssh", None),
)
"""Transports that a partial clone may fetch with. One is dropped if the repository sets a program for it, since git uses the first
such setting, not the last. All other transports run a command that the URL names."""

USERS = ("system", "global")
"""The scopes of the machine's and the user's own settings."""


def harmless(listed: bytes) -> Mapping[str, str]:
    """Return environment variables that keep git from running a repository's programs.

    `listed` is the output of `git config --list --show-scope --name-only -z`.
    """
    words = listed.decode(errors="surrogateescape").split("\0")
    names = sorted({name for scope, name in zip(words[::2], words[1::2], strict=False) if scope not in USERS})
    settings = {**ALWAYS, **{name: value for name in names for form, value in _PROGRAMS if form.fullmatch(_lower(name))}}
    transports = (transport for transport, form in _TRANSPORTS if form is None or not any(form.fullmatch(_lower(name)) for name in names))
    variables = {"GIT_ALLOW_PROTOCOL": ":".join(transports), "GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _lower(name: str) -> str:
    """Normalise a setting's name as git does: case matters only between the dots."""
    first, *middle, last = name.split(".")
    return ".".join((first.lower(), *middle, last.lower()))
