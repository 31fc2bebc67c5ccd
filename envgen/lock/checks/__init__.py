"""Checks of a resolution, which refuse it or add notices: CUDA without `cuda`, mixed torch builds, shared paths, private names.

Resolves nothing. Raises ResolutionError, or ResolutionErrors with all faults of a target.
"""
