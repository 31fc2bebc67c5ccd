"""Images as files: archives and the content of their layers, each blob checked against its digest. Knows nothing of envgen.

Nothing is unpacked or run. Raises VerificationError for an archive that does not match its digests, and DiskFullError.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

if TYPE_CHECKING:
    from envgen.oci.archive import Archive, ImageDocuments, Layer
    from envgen.oci.copy import copy_image, temporary_folder
    from envgen.oci.entries import Difference
    from envgen.oci.stack_entries import LayerEntry
    from envgen.oci.tars import add_bytes, add_file, write_tar
else:
    __getattr__ = lazy(
        __name__,
        {
            "Archive": "archive",
            "Difference": "entries",
            "ImageDocuments": "archive",
            "Layer": "archive",
            "LayerEntry": "stack_entries",
            "add_bytes": "tars",
            "add_file": "tars",
            "copy_image": "copy",
            "temporary_folder": "copy",
            "write_tar": "tars",
        },
    )

__all__ = [
    "Archive",
    "Difference",
    "ImageDocuments",
    "Layer",
    "LayerEntry",
    "add_bytes",
    "add_file",
    "copy_image",
    "temporary_folder",
    "write_tar",
]
