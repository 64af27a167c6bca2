"""Checks of a file's structure before any library decodes it."""
