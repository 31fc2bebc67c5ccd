"""TODO face of core."""
