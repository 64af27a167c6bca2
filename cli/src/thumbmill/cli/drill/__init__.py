"""A drill: uses a system through its doors, writes down what it was answered, and counts what became of it."""
