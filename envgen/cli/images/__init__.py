"""Commands that build images, test them, run them, and list what there is to build."""
