"""Requests of operators: reconciliation and retries that run now, each as a row that survives a restart."""
