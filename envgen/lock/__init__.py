"""TODO face of lock."""
