"""TODO face of offline."""
