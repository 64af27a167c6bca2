"""Dead letters: list, redrive, drop."""
