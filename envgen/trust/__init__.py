"""Whether an image is what its lock says (audit), is the same when it is built again (reproduce), whether what is locked still exists
unchanged (verify), and what changed between two sets of locks or two images (diff).

Differences are data in a report; raised is only what keeps one from being made: UsageError, EngineError, VerificationError, DiskFullError.
"""

from envgen.trust.report import ImageReport, Report, Status

__all__ = ["ImageReport", "Report", "Status"]
