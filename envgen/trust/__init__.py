"""TODO face of trust."""
