"""TODO face of reproduce."""
