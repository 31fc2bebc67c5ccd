"""Compares an image with its lock, file by file, from its archive: nothing in the image is run.

Differences are data in the report. Raises UsageError, VerificationError, EngineError or DiskFullError if there is nothing to compare.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.trust.audit.audit import audit_image as audit_image
    from envgen.trust.audit.report import AuditFinding as AuditFinding
    from envgen.trust.audit.report import AuditReport as AuditReport
else:
    __getattr__ = lazy(
        __name__,
        {
            "AuditFinding": "report",
            "AuditReport": "report",
            "audit_image": "audit",
        },
    )

__all__ = [
    "AuditFinding",
    "AuditReport",
    "audit_image",
]
