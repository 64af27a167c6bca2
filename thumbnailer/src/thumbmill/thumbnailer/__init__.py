"""The thumbnailer service: makes the variants of originals."""
