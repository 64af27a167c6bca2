"""Live status: the feed of changes, read as streams and bounded waits."""
