"""What changed between two sets of locks, or between two images, and why. Prints nothing; `envgen diff` shows it."""
