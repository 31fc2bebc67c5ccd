"""Checks that an image matches its lock (audit), that rebuilding gives the same image (reproduce), and that everything locked still exists
unchanged (verify); shows what changed between two sets of locks or two images (diff).

Differences are data in a report. Raises UsageError, EngineError, VerificationError or DiskFullError only if there can be no report.
"""

from envgen.trust.report import ImageReport, Report, Status

__all__ = ["ImageReport", "Report", "Status"]
