"""An image against its lock, file by file, read from its archive: nothing in the image is run."""
