"""Thumbmill's operator: what people do to a running system."""
