"""Commands that create, explain and export profiles and locks."""
