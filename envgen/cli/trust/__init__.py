"""Commands that verify and compare images and locks."""
