"""Our imaging beside sharp and libvips, on the same files."""
