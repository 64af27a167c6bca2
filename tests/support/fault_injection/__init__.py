"""Starts a service with injected faults: it dies or freezes at a named point, or its decoders fail on request.

The services have no switch for any of this. ``python -m tests.support.fault_injection`` replaces functions in the
process that it is about to become, then runs the service's own console entry point.
"""
