"""Checks that this machine can build and run images: engine, disk, GPUs, settings, and locks.

Findings are data, each with a cure. Raises UsageError for an unknown profile and ProfileError for an invalid one.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.doctor.examine import examine_machine as examine_machine
    from envgen.doctor.finding import Finding as Finding
    from envgen.doctor.finding import FindingStatus as FindingStatus
    from envgen.doctor.finding import exit_code as exit_code
    from envgen.doctor.machine import driver as driver
else:
    __getattr__ = lazy(
        __name__,
        {
            "Finding": "finding",
            "FindingStatus": "finding",
            "driver": "machine",
            "examine_machine": "examine",
            "exit_code": "finding",
        },
    )

__all__ = [
    "Finding",
    "FindingStatus",
    "driver",
    "examine_machine",
    "exit_code",
]
