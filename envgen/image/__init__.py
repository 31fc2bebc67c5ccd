"""TODO face of image."""
