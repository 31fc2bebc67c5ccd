"""Commands that make profiles and locks, explain them, and print them in other formats."""
