"""One decoder for each format."""
