"""Image processing, from the bytes of an original to its variants. It runs in a decoder process."""
