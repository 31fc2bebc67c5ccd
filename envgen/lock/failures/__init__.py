"""Explains failed resolutions from the contents of the indexes rather than from resolver output.

Makes few index requests, in limited time, and only after a failure. Returns errors instead of raising them.
"""
