"""Everything that locks need, fetched into the caches, and carried to a machine without a network.

Raises ResolutionError and its kin for what can't be fetched, BuildError for what is missing, VerificationError for what is corrupt,
and DiskFullError.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.offline.export import Exported, export_store
    from envgen.offline.fetch import FetchedWheels, fetch_model, fetch_models, fetch_wheels
    from envgen.offline.import_ import Imported, check_taken, import_store
    from envgen.offline.model_files import require_models
else:
    __getattr__ = lazy(
        __name__,
        {
            "Exported": "export",
            "FetchedWheels": "fetch",
            "Imported": "import_",
            "check_taken": "import_",
            "export_store": "export",
            "fetch_model": "fetch",
            "fetch_models": "fetch",
            "fetch_wheels": "fetch",
            "import_store": "import_",
            "require_models": "model_files",
        },
    )

__all__ = [
    "Exported",
    "FetchedWheels",
    "Imported",
    "check_taken",
    "export_store",
    "fetch_model",
    "fetch_models",
    "fetch_wheels",
    "import_store",
    "require_models",
]
