"""The worker: originals in, thumbnails out."""
