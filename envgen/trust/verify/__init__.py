"""Asking whether everything locked still exists and still has its hash: what `envgen verify` does."""
