"""Phase byte-code: byte code of another image, unpacked beside its sources, against what this Python makes of them.

Runs in the base of that image with `python -I -S`; every finding is a line of its own.
"""

from __future__ import annotations

import files
import harness
import tree


def byte_code(job: harness.Job) -> str:
    """Every source has the byte code that this Python makes of it; no finding is left out."""
    findings, summary = files.examine_byte_code(tree.of(job))
    if findings:
        raise harness.Failed("\n".join(findings))
    return summary


CHECKS: harness.Checks = (("byte-code", byte_code),)
