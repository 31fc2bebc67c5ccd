"""What the campaigns share: projects of tiny wheels with their index, as the integration tests have them."""

from __future__ import annotations

from sites import image, image_site, index, locked, locked_site, tiny_index, tiny_wheels

__all__ = ("image", "image_site", "index", "locked", "locked_site", "tiny_index", "tiny_wheels")  # fixtures
