"""Fetches everything that locks need into the caches, and carries it to a machine without a network.

Raises ResolutionError and its subclasses for failed downloads, BuildError for missing files, VerificationError for corrupt ones, and
DiskFullError.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.offline.export import Exported, export_store
    from envgen.offline.fetch import FetchedWheels, fetch_model, fetch_models, fetch_wheels
    from envgen.offline.import_ import Imported, check_imported, import_store
    from envgen.offline.model_files import require_models
else:
    __getattr__ = lazy(
        __name__,
        {
            "Exported": "export",
            "FetchedWheels": "fetch",
            "Imported": "import_",
            "check_imported": "import_",
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
    "check_imported",
    "export_store",
    "fetch_model",
    "fetch_models",
    "fetch_wheels",
    "import_store",
    "require_models",
]
