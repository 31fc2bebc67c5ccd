"""Profiles, constraint sets, and the tables of CUDA, errors, pairs and model wheels, with a reader for each.

`Project` finds and reads them: the project's own first, then the shipped ones. Independent of locks.
Raises ProfileError, ProfileErrors and UsageError (2).
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

__all__ = ["Bound", "CudaTable", "Diagnosis", "Index", "ModelWheel", "Profile", "Project", "Python", "diagnose"]

if TYPE_CHECKING:
    from envgen.profiles.catalog import Project
    from envgen.profiles.constraints import Bound
    from envgen.profiles.cuda import CudaTable
    from envgen.profiles.error_tables import Diagnosis, diagnose
    from envgen.profiles.model import Index, Profile, Python
    from envgen.profiles.model_wheels import ModelWheel
else:
    __getattr__ = lazy(
        __name__,
        {
            "Project": "catalog",
            "Profile": "model",
            "Python": "model",
            "Index": "model",
            "Bound": "constraints",
            "CudaTable": "cuda",
            "Diagnosis": "error_tables",
            "diagnose": "error_tables",
            "ModelWheel": "model_wheels",
        },
    )
