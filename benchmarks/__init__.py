"""Benchmarks of the running system, from empty stores on ports of their own."""
