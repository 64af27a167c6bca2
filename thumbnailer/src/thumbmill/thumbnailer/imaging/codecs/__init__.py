"""A decoder for each format."""
