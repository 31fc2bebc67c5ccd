"""Checks that everything locked still exists and still has its hash: `envgen verify`.

Anything that could not be checked is in the report as such; nothing is raised for it.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.trust.verify.report import FINDINGS as FINDINGS
    from envgen.trust.verify.report import INFORMATION as INFORMATION
    from envgen.trust.verify.report import VERIFIED as VERIFIED
    from envgen.trust.verify.report import Verdict as Verdict
    from envgen.trust.verify.report import VerificationReport as VerificationReport
    from envgen.trust.verify.verify import verify_locks as verify_locks
else:
    __getattr__ = lazy(
        __name__,
        {
            "FINDINGS": "report",
            "INFORMATION": "report",
            "VERIFIED": "report",
            "Verdict": "report",
            "VerificationReport": "report",
            "verify_locks": "verify",
        },
    )

__all__ = [
    "FINDINGS",
    "INFORMATION",
    "VERIFIED",
    "Verdict",
    "VerificationReport",
    "verify_locks",
]
