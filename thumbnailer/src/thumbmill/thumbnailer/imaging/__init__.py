"""Imaging: from an original's bytes to its variants. Runs in a decoder process."""
