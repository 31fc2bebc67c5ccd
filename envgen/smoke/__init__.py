"""The smoke test: what is checked in an image while it runs, with which model, and the report of it.

`probe/` is the program that runs inside. A failed check is data in the report; SmokeError is raised where a test can't begin, UsageError
for a model that can't be, VerificationError for one that is not what was locked, and EngineError.
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
