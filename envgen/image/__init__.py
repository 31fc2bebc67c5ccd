"""From a lock to an image: builds it, compares its layers with their record, runs and publishes it, and exports it to other builders.

The steps of a build are listed in `build`. Knows nothing of smoke tests. Raises BuildError and EngineError, VerificationError for layers
that differ from their record, and DiskFullError.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.image.bases import fetch_bases
    from envgen.image.build import BuildOptions, Built, build_image, find_built
    from envgen.image.estimate import BuildEstimate, estimate_build
    from envgen.image.layer_record import LayerComparison, check_layers
    from envgen.image.publish import publish_image
else:
    __getattr__ = lazy(
        __name__,
        {
            "BuildEstimate": "estimate",
            "BuildOptions": "build",
            "Built": "build",
            "LayerComparison": "layer_record",
            "build_image": "build",
            "check_layers": "layer_record",
            "estimate_build": "estimate",
            "fetch_bases": "bases",
            "find_built": "build",
            "publish_image": "publish",
        },
    )

__all__ = [
    "BuildEstimate",
    "BuildOptions",
    "Built",
    "LayerComparison",
    "build_image",
    "check_layers",
    "estimate_build",
    "fetch_bases",
    "find_built",
    "publish_image",
]
