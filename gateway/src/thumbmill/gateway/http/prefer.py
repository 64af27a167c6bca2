"""The header ``Prefer`` (RFC 7240), parsed. Pure.

``wait=N``, or the parameter ``wait``, is how long a client is willing to wait for a response. ``return=existing``
asks for an image that is there already, instead of another one with the same bytes.
"""

import re
from collections.abc import Iterable

MAX_WAIT_SECONDS = 30  # proxies often close a silent connection after a minute

_PREFERENCE = re.compile(r'\s*wait\s*=\s*("?)(\d{1,9})\1\s*(?:;.*)?', re.IGNORECASE)
_EXISTING = re.compile(r'\s*return\s*=\s*("?)existing\1\s*(?:;.*)?', re.IGNORECASE)


def wanted_seconds(prefer: Iterable[str], parameter: int | None) -> int:
    """Return how many seconds a response may take, from the Prefer headers or else the parameter; 0: no wait.

    Preferences that are unknown or malformed are ignored, and of two equal ones the first counts (RFC 7240, 2).
    """
    for preference in ",".join(prefer).split(","):
        if match := _PREFERENCE.fullmatch(preference):
            return min(int(match[2]), MAX_WAIT_SECONDS)
    return min(parameter or 0, MAX_WAIT_SECONDS)


def prefers_existing(prefer: Iterable[str]) -> bool:
    """Return whether a client prefers an image that is there already."""
    return any(_EXISTING.fullmatch(preference) for preference in ",".join(prefer).split(","))
