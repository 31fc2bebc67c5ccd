"""Commands that build, test and run images, and list what can be built."""
