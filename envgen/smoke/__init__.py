"""The smoke test: runs checks in an image, with a model, and reports the results.

`probe/` is the program that runs inside. A failed check is data in the report. Raises SmokeError if a test can't begin, UsageError for an
invalid model, VerificationError for one that does not match the lock, and EngineError.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.smoke.expected_files import ExpectedTree as ExpectedTree
    from envgen.smoke.expected_files import expected_tree as expected_tree
    from envgen.smoke.find_model import ModelChoice as ModelChoice
    from envgen.smoke.find_model import cached_model as cached_model
    from envgen.smoke.find_model import choose_model as choose_model
    from envgen.smoke.report import CheckStatus as CheckStatus
    from envgen.smoke.report import SmokeReport as SmokeReport
    from envgen.smoke.run import ImageUnderTest as ImageUnderTest
    from envgen.smoke.run import SmokeOptions as SmokeOptions
    from envgen.smoke.run import smoke as smoke
else:
    __getattr__ = lazy(
        __name__,
        {
            "CheckStatus": "report",
            "ExpectedTree": "expected_files",
            "ImageUnderTest": "run",
            "ModelChoice": "find_model",
            "SmokeOptions": "run",
            "SmokeReport": "report",
            "cached_model": "find_model",
            "choose_model": "find_model",
            "expected_tree": "expected_files",
            "smoke": "run",
        },
    )

__all__ = [
    "CheckStatus",
    "ExpectedTree",
    "ImageUnderTest",
    "ModelChoice",
    "SmokeOptions",
    "SmokeReport",
    "cached_model",
    "choose_model",
    "expected_tree",
    "smoke",
]
