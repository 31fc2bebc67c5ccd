"""Fetch wheels and models from indexes and the model hub over HTTP, and cache them in stores.

`Packages` provides the files of packages, from the store or the index; `Hub` and `ModelStore` do so for models.
Raises ResolutionError and its subclasses (3), VerificationError (8), DiskFullError, UsageError. Independent of profiles and locks.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

__all__ = ["Hub", "HubName", "IndexClient", "IndexFile", "LockedModelFiles", "ModelStore", "Packages", "Wheel", "WheelName", "WheelStore"]

if TYPE_CHECKING:
    from envgen.sources.hub import Hub
    from envgen.sources.index import IndexClient
    from envgen.sources.index_pages import IndexFile
    from envgen.sources.model_store import ModelStore
    from envgen.sources.models import HubName, LockedModelFiles, WheelName
    from envgen.sources.packages import Packages
    from envgen.sources.wheel import Wheel
    from envgen.sources.wheel_store import WheelStore
else:
    __getattr__ = lazy(
        __name__,
        {
            "Packages": "packages",
            "IndexClient": "index",
            "IndexFile": "index_pages",
            "Wheel": "wheel",
            "WheelStore": "wheel_store",
            "Hub": "hub",
            "ModelStore": "model_store",
            "HubName": "models",
            "WheelName": "models",
            "LockedModelFiles": "models",
        },
    )
