"""TIFF: directories, strips and tiles, and pixels."""
