"""Why a resolution failed, told from what the indexes say rather than from the words of a resolver.

Asks few questions, in bounded time, and only after a failure. Raises nothing of its own: it gives the error that fits.
"""
