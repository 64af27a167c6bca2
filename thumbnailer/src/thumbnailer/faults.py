"""A test's way to see a decoder fail: a JPEG whose comment asks for it. Works only with ``DECODER_FAULTS=on``."""

import ctypes
import re
import signal

_REQUEST = re.compile(rb"\xff\xfe..thumbmill-fault:(crash|hang|memory)", re.DOTALL)  # COM, length, text
_CHUNK_BYTES = 16 * 1024 * 1024


def fail_if_asked(data: bytes) -> None:
    """Crash, hang for ever, or eat memory until the limit, if the picture's comment says so."""
    request = _REQUEST.search(data, 0, 4096)
    match request[1] if request else None:
        case b"crash":
            ctypes.string_at(0)
        case b"hang":
            while True:
                signal.pause()
        case b"memory":
            hoard = []
            while True:
                hoard.append(bytes(_CHUNK_BYTES))
