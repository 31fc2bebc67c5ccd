"""TODO face of sources."""
