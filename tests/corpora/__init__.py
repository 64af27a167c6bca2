"""Public collections of pictures that decoders are tried on, and what is expected of each file."""
