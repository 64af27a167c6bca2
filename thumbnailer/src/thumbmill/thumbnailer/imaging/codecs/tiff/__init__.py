"""TIFF: image file directories, strips and tiles, and pixels."""
