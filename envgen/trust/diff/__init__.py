"""What changed between two sets of locks, or two images, and why; `model` has the values of a comparison.

Raises UsageError for invalid operands, StaleLockError for an unreadable lock, VerificationError for a corrupt archive.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.trust.diff.images import ImageComparison as ImageComparison
    from envgen.trust.diff.images import compare_images as compare_images
    from envgen.trust.diff.locks import compare_locks as compare_locks
    from envgen.trust.diff.model import LockComparison as LockComparison
    from envgen.trust.diff.operands import ImageSide as ImageSide
    from envgen.trust.diff.operands import LockSide as LockSide
    from envgen.trust.diff.operands import OperandFinder as OperandFinder
    from envgen.trust.diff.operands import check_profile as check_profile
    from envgen.trust.diff.operands import restrict_to_common as restrict_to_common
else:
    __getattr__ = lazy(
        __name__,
        {
            "ImageComparison": "images",
            "ImageSide": "operands",
            "LockComparison": "model",
            "LockSide": "operands",
            "OperandFinder": "operands",
            "check_profile": "operands",
            "compare_images": "images",
            "compare_locks": "locks",
            "restrict_to_common": "operands",
        },
    )

__all__ = [
    "ImageComparison",
    "ImageSide",
    "LockComparison",
    "LockSide",
    "OperandFinder",
    "check_profile",
    "compare_images",
    "compare_locks",
    "restrict_to_common",
]
