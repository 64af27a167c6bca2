"""What goes through the socket between a decoder and its child: a JSON header and byte strings."""

import json
import socket
import struct
import time
from typing import Any

_LENGTH = struct.Struct("!I")  # of the header, which holds the lengths of the parts
MAX_HEADER_BYTES = 64 * 1024

Header = dict[str, Any]


class HungUpError(Exception):
    """The other side closed its end."""


def send(channel: socket.socket, header: Header, *parts: bytes) -> None:
    """Send one frame, its parts without copying them. Raises OSError."""
    head = json.dumps({**header, "parts": [len(part) for part in parts]}).encode()
    channel.sendall(_LENGTH.pack(len(head)) + head)
    for part in parts:
        channel.sendall(part)


def receive(channel: socket.socket, max_bytes: int, deadline: float | None = None) -> tuple[Header, list[bytes]]:
    """Receive one frame before ``deadline``, a time of the monotonic clock.

    Raises HungUpError, TimeoutError, OSError, and ValueError for what is longer than allowed or no frame.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size, deadline))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(_receive_exactly(channel, length, deadline))
    lengths = [int(length) for length in header.pop("parts")]
    if sum(lengths) > max_bytes or any(length < 0 for length in lengths):
        raise ValueError(f"parts of {lengths} bytes")
    return header, [_receive_exactly(channel, length, deadline) for length in lengths]


def _receive_exactly(channel: socket.socket, size: int, deadline: float | None) -> bytes:
    data = b""
    while len(data) < size:
        if deadline is not None:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
        # A blocking socket fills the whole buffer in one call, so that megabytes are copied once.
        more = channel.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise HungUpError
        data = data + more if data else more
    return data
