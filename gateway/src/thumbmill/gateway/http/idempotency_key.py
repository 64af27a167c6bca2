"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header-07), parsed. Pure."""

import re
from collections.abc import Sequence

MAX_CHARACTERS = 255
IDEMPOTENCY_KEY_PATTERN = r"^[\x20-\x7e]{1,255}$"  # where it is a JSON string or a parameter

# A string of structured fields (RFC 9651, 3.3.3), or, as many clients send it, the bare text.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ESCAPED = re.compile(r"\\(.)")


def parse_idempotency_key(values: Sequence[str]) -> str | None:
    """Return the key in the headers of this name, None if there is none. Raise ValueError for an invalid one."""
    if not values:
        return None
    if len(values) > 1:
        raise ValueError("there is more than one")
    value = values[0].strip(" \t")
    if quoted := _QUOTED.fullmatch(value):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(value):
        key = value
    else:
        raise ValueError("it is not printable ASCII, or its quotes are not closed")
    if not 1 <= len(key) <= MAX_CHARACTERS:
        raise ValueError(f"it has {len(key)} characters")
    return key
