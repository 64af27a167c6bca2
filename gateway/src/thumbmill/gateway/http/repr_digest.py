"""The SHA-256 in a header ``Repr-Digest`` (RFC 9530). Pure."""

import re
from base64 import b64decode
from collections.abc import Iterable

_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*(.*?)\s*")
_SHA256 = re.compile(r":([A-Za-z0-9+/]{43}=):")


def parse_sha256(values: Iterable[str]) -> str | None:
    """Return the SHA-256 in the headers of this name as 64 hex digits, None without one. Raise ValueError."""
    for member in ",".join(values).split(","):  # base64 has no comma
        named = _MEMBER.fullmatch(member)
        if named and named[1] == "sha-256":
            digest = _SHA256.fullmatch(named[2])
            if digest is None:
                raise ValueError("sha-256 is not the base64 of 32 bytes between colons")
            return b64decode(digest[1]).hex()
    return None
