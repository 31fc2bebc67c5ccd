"""What is refused of a resolution, and what is noted: CUDA without `cuda`, mixed builds of torch, shared paths, private names.

Nothing here resolves. Raises ResolutionError, or ResolutionErrors with all faults of a target.
"""
