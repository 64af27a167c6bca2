"""The operator's view of the system: summaries, the state of its parts, reconciliations and redrives."""
