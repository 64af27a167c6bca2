"""Public collections of images that decoders are tested with, and the expected result of each file."""
