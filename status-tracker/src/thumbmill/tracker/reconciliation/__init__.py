"""Reconciliation: compare the buckets with the rows, and repair what differs."""
