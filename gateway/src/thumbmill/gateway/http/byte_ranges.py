"""The header ``Range`` (RFC 9110, section 14), for a single range. Pure."""

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """The bytes from ``first`` up to and including ``last``."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


class UnsatisfiableRangeError(Exception):
    """The representation has none of the wanted bytes."""


def select_range(wanted: str, if_range: str, etag: str, size: int) -> ByteRange | None:
    """Return the range to send, or None for the whole representation. Raise UnsatisfiableRangeError.

    A server may ignore a range: this does so for several ranges at once, for another unit, and unless If-Range has
    exactly the present ETag. It has never sent the date that If-Range may have instead.
    """
    found = _SINGLE.fullmatch(wanted)
    if found is None or (if_range and (if_range != etag or etag.startswith("W/"))):
        return None
    first, last = found[1], found[2]
    if not first:
        return _suffix(int(last), size) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


def _suffix(length: int, size: int) -> ByteRange:
    if not length or not size:
        raise UnsatisfiableRangeError
    return ByteRange(max(0, size - length), size - 1)
