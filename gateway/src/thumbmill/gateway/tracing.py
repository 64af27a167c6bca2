"""W3C Trace Context: a request's ``traceparent`` is stored with the object, so one trace spans all services."""

from starlette.requests import Request

from thumbmill.core.contracts.traceparent import is_traceparent, new_traceparent


def traceparent_of(request: Request) -> str:
    """Return the request's traceparent if it is valid, or else start a trace."""
    header = request.headers.get("traceparent")
    return header if header and is_traceparent(header) else new_traceparent()
