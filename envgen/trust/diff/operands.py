"""Resolves the operands A and B: locks in a file, a folder or a git revision, or an image in the engine's store or in an archive.

An operand is the first of these that matches:
1. `git:REVISION` and `image:NAME` are explicit; `sha256:…` is an image.
2. A file or folder of that name. A tar archive is an image, any other file a lock. If there is also a git revision of that name,
   it is rejected, as git itself does: `./NAME` and `git:NAME` are unambiguous.
3. A git revision of the repository that the project is in.
4. An image in the engine's store.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from envgen.core.errors import EngineError, StaleLockError, UsageError
from envgen.core.git import GitRepo
from envgen.engine import Image, ImageStore
from envgen.lock import Lock, parse_lock
from envgen.oci.tar_reader import is_tar
from envgen.profiles.catalog import LOCK_FILE

GIT, IMAGE = "git:", "image:"
LOCKS = "locks"
LARGEST_LOCK = 20_000_000
"""Bytes; the lock of a profile with CUDA has 60,000."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?")
"""Approximates valid names of images: HEAD~1 or main..next do not match."""
_LEVELS = (LOCK_FILE, f"*/{LOCK_FILE}", f"*/*/{LOCK_FILE}", f"{LOCKS}/*/*/{LOCK_FILE}")
"""Where locks are in the folder of a target, of a profile, of all locks, and of a project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSide:
    """Some locks, and their name in messages. `single`: a single lock was named.

    `profiles` are those that the name is limited to (empty: all), as in locks/cuda.
    """

    label: str
    locks: tuple[Lock, ...]
    single: bool = False
    profiles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSide:
    """An image, in the engine's store (`image`) or in the archive at `path`, and its name in messages."""

    label: str
    image: Image | None = None
    path: Path | None = None


Side = LockSide | ImageSide


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandFinder:
    """Finds operands. `profile` limits them to one profile (empty: all); `engine` makes an engine when needed."""

    project: Path
    repository: GitRepo
    engine: Callable[[], ImageStore]
    profile: str = ""

    def now(self) -> LockSide:
        """The locks in the project's folder. Raises UsageError if there are none."""
        side = self._in_folder(self.project / LOCKS, f"{LOCKS}/")
        return replace(side, label="the locks as they are now", single=False, profiles=frozenset())

    def find(self, word: str) -> Side:
        """The operand `word`. Raises UsageError, and StaleLockError for an unreadable lock."""
        if word.startswith(GIT):
            return self._at(word.removeprefix(GIT), self.repository.commit(word.removeprefix(GIT)))
        if word.startswith(IMAGE) or _DIGEST.fullmatch(word):
            return self._image(word.removeprefix(IMAGE))
        if _exists(path := Path(word)):
            if not word.startswith((".", "/")) and self._commit(word):
                raise UsageError(word, "both a path and a git revision", hint=f"write ./{word} or {GIT}{word}")
            return self._at_path(path, word)
        try:
            commit = self.repository.commit(word)
        except UsageError as no_revision:
            return self._image_or(word, no_revision)
        return self._at(word, commit)

    def _commit(self, word: str) -> str:
        try:
            return self.repository.commit(word)
        except UsageError:
            return ""

    def _image_or(self, word: str, no_revision: UsageError) -> ImageSide:
        """The image `word`. Without one, raises an error that lists everything that was tried."""
        if not _REFERENCE.fullmatch(word):
            raise UsageError(word, f"no such path, and {no_revision.problem}", hint=no_revision.hint) from no_revision
        try:
            return self._image(word)
        except (EngineError, UsageError) as no_image:
            problem = f"no such path,\nas a git revision: {no_revision.problem},\nas an image: {no_image.problem}"
            raise UsageError(word, problem, hint=no_revision.hint) from no_image

    def _image(self, name: str) -> ImageSide:
        image = self.engine().image(name) if name else None
        if image is None:
            raise UsageError(f"{IMAGE}{name}", "no such image in the engine's store", hint="see: docker image ls --digests")
        return ImageSide(label=f"image {name} ({image.digest[:19]})", image=image)

    def _at_path(self, path: Path, word: str) -> Side:
        label = os.fsencode(word).decode(errors="replace")
        if path.is_dir():
            return self._in_folder(path, label)
        if not path.is_file():
            raise UsageError(label, "neither a file nor a folder", hint="name an envgen.lock, a folder of locks, or an archive")
        if is_tar(path):
            return ImageSide(label=f"archive {label}", path=path)
        return self._lock_side(label, [(path.as_posix(), _read(path), label)], single=True)

    def _in_folder(self, folder: Path, label: str) -> LockSide:
        for level, pattern in enumerate(_LEVELS):
            if paths := sorted(folder.glob(pattern)):
                found = [(path.as_posix(), _read(path), f"{label.rstrip('/')}/{path.relative_to(folder).as_posix()}") for path in paths]
                side = self._lock_side(label, found, single=level == 0)
                return replace(side, profiles=frozenset(lock.profile for lock in side.locks)) if level == 1 else side
        raise UsageError(label, "has no locks", hint="run: envgen lock; or name a folder such as locks/cuda")

    def _at(self, revision: str, commit: str) -> LockSide:
        paths = [(path, blob) for path, blob in self.repository.files(commit, LOCKS) if PurePosixPath(path).name == LOCK_FILE]
        found = ((path, self.repository.content(blob), f"{revision}:{path}") for path, blob in paths)
        if not paths:
            raise UsageError(revision, f"has no locks below {LOCKS}/", hint=f"see: git ls-tree -r {commit[:12]} {LOCKS}")
        try:
            return self._lock_side(f"git revision {revision} ({commit[:12]})", found)
        except StaleLockError as error:
            hint = "compare with a revision whose locks this envgen can read, or select another profile with --profile"
            raise StaleLockError(error.where, error.problem, hint=hint) from error

    def _lock_side(self, label: str, found: Iterable[tuple[str, bytes, str]], *, single: bool = False) -> LockSide:
        """The selected locks among `found`, which has the path, content and name in messages of each."""
        locks = tuple(self._parsed(found))
        keys = [(lock.profile, lock.target.slug) for lock in locks]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise UsageError(label, f"has two locks of {' for '.join(twice)}", hint="name one project's locks")
        return LockSide(label=label, locks=locks, single=single and bool(locks))

    def _parsed(self, found: Iterable[tuple[str, bytes, str]]) -> Iterator[Lock]:
        for path, content, label in found:
            # This envgen may not be able to read locks of other profiles.
            parts = PurePosixPath(path).parts
            if self.profile and len(parts) >= 3 and parts[-3] != self.profile:
                continue
            lock = parse_lock(content, label)
            if self.profile in ("", lock.profile):
                yield lock


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):
        # A revision or an image's name may not be a valid path.
        return False
    return True


def _read(path: Path) -> bytes:
    """The content of a lock. Raises UsageError if it can't be read."""
    try:
        if path.stat().st_size > LARGEST_LOCK:
            raise UsageError(str(path), "far too large for a lock, and not an image archive", hint="docker save writes archives")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(str(path), f"can't be read: {error.strerror or error}", hint="see its permissions: ls -l") from error


def restrict_to_common(before: LockSide, after: LockSide) -> tuple[LockSide, LockSide]:
    """Restricts both sides to what the other's name includes; locks/cuda, for example, leaves out all other profiles."""
    return _within(before, after), _within(after, before)


def _within(side: LockSide, other: LockSide) -> LockSide:
    if side.single or not (other.single or other.profiles):
        return side
    keys = {(lock.profile, lock.target.slug) for lock in other.locks}
    selected = (lock for lock in side.locks if (lock.profile, lock.target.slug) in keys or lock.profile in other.profiles)
    return replace(side, locks=tuple(selected))


def check_profile(profile: str, before: LockSide, after: LockSide) -> None:
    """Raises UsageError if neither side has a lock of the selected profile."""
    if profile and not before.locks and not after.locks:
        raise UsageError(f"--profile {profile}", "neither side has a lock of it", hint="see: ls locks")
