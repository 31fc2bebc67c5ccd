"""The smoke test: what is checked in a running image, and the report of it."""
