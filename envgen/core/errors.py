"""The exception hierarchy: one class for each kind of remedy, each with its exit code.

An error says where it is, what was found, what was expected, and how to fix it. Only the command line turns
errors into text and exit codes. This module imports nothing.
"""


class EnvgenError(Exception):
    """Base class of all errors that a user can act on.

    `where` names a file, key, URL or program; `problem` says what was found and what was expected; `hint` is a
    correction or command to paste.
    """

    exit_code = 1

    def __init__(self, where: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem
        self.hint = hint

    def faults(self) -> tuple["EnvgenError", ...]:
        """Return the individual errors: just this one, unless it is a collection."""
        return (self,)


class UsageError(EnvgenError):
    """The command line names something that does not exist, or combines options that exclude each other."""

    exit_code = 2


class ProfileError(EnvgenError):
    """A profile or constraint set is invalid and must be edited."""

    exit_code = 2


class ProfileErrors(ProfileError):  # noqa: N818  (it is several of them)
    """All faults of a profile, reported together."""

    def __init__(self, faults: tuple[ProfileError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class ResolutionError(EnvgenError):
    """No set of versions satisfies the profile, or an index could not be queried."""

    exit_code = 3


class ResolutionErrors(ResolutionError):  # noqa: N818  (it is several of them)
    """All that is wrong with one resolution, so that one run finds it."""

    def __init__(self, faults: tuple[ResolutionError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class IndexUnavailableError(ResolutionError):
    """An index is down, refuses access, or returns something other than an index page."""


class IndexRefusedError(IndexUnavailableError):
    """An index refuses a page: it requires credentials, or the page is missing and it returns 403, as buckets do."""


class FileGoneError(ResolutionError):
    """An index lists a file that it can't serve."""


class HubUnavailableError(ResolutionError):
    """The model hub is down, or its response is invalid."""


class HubRefusedError(ResolutionError):
    """The hub has no such model, revision or file, or it is private."""


class HubGoneError(HubRefusedError):
    """The hub responds that there is no such model, revision or file."""


class StaleLockError(EnvgenError):
    """A lock is missing, unreadable, edited by hand, or does not match its profile."""

    exit_code = 4


class StaleLockErrors(StaleLockError):  # noqa: N818  (it is several of them)
    """All stale locks, reported together."""

    def __init__(self, faults: tuple[StaleLockError, ...]) -> None:
        super().__init__("", "\n".join(str(fault) for fault in faults))
        self._faults = faults

    def faults(self) -> tuple[EnvgenError, ...]:
        return self._faults


class EngineError(EnvgenError):
    """No container engine responds, or it lacks something that a build needs."""

    exit_code = 5


class BaseGoneError(EngineError):
    """The registry has no such tag or digest; the profile needs another one."""


class BuildError(EnvgenError):
    """The image could not be built."""

    exit_code = 6


class DiskFullError(BuildError):
    """There is not enough disk space."""


class SmokeError(EnvgenError):
    """The smoke test could not run (a failed check is data, not an exception)."""

    exit_code = 7


class VerificationError(EnvgenError):
    """Something does not match its digest."""

    exit_code = 8
