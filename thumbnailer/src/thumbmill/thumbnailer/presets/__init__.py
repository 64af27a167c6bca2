"""Presets: which variants are made of every image."""
