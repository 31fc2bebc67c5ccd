"""Commands that check whether images and locks are what they claim to be, and compare them."""
