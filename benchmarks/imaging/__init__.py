"""The thumbnailer's imaging compared with sharp and libvips, on the same files."""
