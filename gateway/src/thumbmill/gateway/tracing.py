"""W3C Trace Context: a request's ``traceparent`` is stored with the object, so one trace spans all services."""

from thumbmill.core.contracts.traceparent import is_traceparent, new_traceparent


def traceparent_from(header: str | None) -> str:
    """Return the request's ``traceparent`` if it is valid, else that of a new trace."""
    return header if header and is_traceparent(header) else new_traceparent()
