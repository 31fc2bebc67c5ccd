"""TODO face of oci."""
