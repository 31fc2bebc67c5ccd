"""Builds an image twice in different environments, or once to compare with another image: is it the same, and if not, where and why?

Raises as a build does, EngineError for an unavailable image, UsageError for an invalid name, VerificationError for a corrupt archive.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.trust.reproduce.environments import NOT_VARIED as NOT_VARIED
    from envgen.trust.reproduce.environments import VARIED as VARIED
    from envgen.trust.reproduce.reproduce import Plan as Plan
    from envgen.trust.reproduce.reproduce import Reproduction as Reproduction
    from envgen.trust.reproduce.reproduce import build_against as build_against
    from envgen.trust.reproduce.reproduce import build_twice as build_twice
else:
    __getattr__ = lazy(
        __name__,
        {
            "NOT_VARIED": "environments",
            "VARIED": "environments",
            "Plan": "reproduce",
            "Reproduction": "reproduce",
            "build_against": "reproduce",
            "build_twice": "reproduce",
        },
    )

__all__ = [
    "NOT_VARIED",
    "VARIED",
    "Plan",
    "Reproduction",
    "build_against",
    "build_twice",
]
