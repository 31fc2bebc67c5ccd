"""From a lock to an image: built, compared with the record of its layers, run, published, and handed to other builders.

`build` tells the order of a build. Knows no smoke test. Raises BuildError and EngineError, VerificationError for layers that are not as
recorded, and DiskFullError.
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
