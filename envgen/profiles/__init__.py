"""TODO face of profiles."""
