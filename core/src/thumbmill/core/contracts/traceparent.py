"""The form of ``traceparent`` (W3C Trace Context, version 00), which connects the logs of one upload."""

import re
import secrets

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Return whether a text is a valid ``traceparent``."""
    return _TRACEPARENT.fullmatch(text) is not None


def new_traceparent() -> str:
    """Return the ``traceparent`` of a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
