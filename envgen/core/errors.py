"""The exception tree: one class for each remedy a user has, each with its exit code.

An error says where it is, what was found, what was expected, and how to cure it. Only the command line turns
one into text and an exit code. This module imports nothing.
"""


class EnvgenError(Exception):
    """Base of all errors that a user can act on.

    `where` names a file, key, URL or program; `problem` says what was found and what was expected; `hint` is a
    correction or a command that can be pasted.
    """

    exit_code = 1

    def __init__(self, where: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem
        self.hint = hint

    def faults(self) -> tuple["EnvgenError", ...]:
        """The single errors this one stands for: itself, unless it is a collection."""
        return (self,)


class UsageError(EnvgenError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2


class ProfileError(EnvgenError):
    """A profile or constraint set is wrong; the cure is an edit of that file."""

    exit_code = 2


class ProfileErrors(ProfileError):  # noqa: N818  (it is several of them)
    """All faults of one profile at once, so that one run finds them all."""

    def __init__(self, faults: tuple[ProfileError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class ResolutionError(EnvgenError):
    """No set of versions satisfies the profile, or an index could not say."""

    exit_code = 3


class ResolutionErrors(ResolutionError):  # noqa: N818  (it is several of them)
    """All that is wrong with one resolution, so that one run finds it."""

    def __init__(self, faults: tuple[ResolutionError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class IndexUnavailableError(ResolutionError):
    """An index is down, refuses, or answers with something that is no index page."""


class IndexRefusedError(IndexUnavailableError):
    """An index refuses a page: it wants credentials, or has no such page and says so with 403, as buckets do."""


class FileGoneError(ResolutionError):
    """An index lists a file that it does not have."""


class HubUnavailableError(ResolutionError):
    """The hub of models is down, or answers with something that is no answer of a hub."""


class HubRefusedError(ResolutionError):
    """The hub has no such model, revision or file, or does not show it to whoever asks."""


class HubGoneError(HubRefusedError):
    """The hub answers, and has no such model, revision or file."""


class StaleLockError(EnvgenError):
    """A lock is missing, unreadable, edited by hand, or not what its profile would give."""

    exit_code = 4


class StaleLockErrors(StaleLockError):  # noqa: N818  (it is several of them)
    """All stale locks at once."""

    def __init__(self, faults: tuple[StaleLockError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class EngineError(EnvgenError):
    """No container engine answers, or it lacks something that a build needs."""

    exit_code = 5


class BaseGoneError(EngineError):
    """A registry answers, and has no such tag or digest; the cure is another tag in the profile."""


class BuildError(EnvgenError):
    """The image could not be built."""

    exit_code = 6


class DiskFullError(BuildError):
    """There is not enough disk for what was asked."""


class SmokeError(EnvgenError):
    """The smoke test could not be run (a failed check is data, not an exception)."""

    exit_code = 7


class VerificationError(EnvgenError):
    """Something is not what its digest says."""

    exit_code = 8
