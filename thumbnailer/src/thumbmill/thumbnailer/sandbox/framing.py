"""What goes through the socket between a decoder and its child: a JSON header and byte strings.

A child may be in the hands of a picture, so its parent believes nothing of a frame: neither its lengths nor that
its header is what a header should be, nor that it will ever be complete.
"""

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("!I")  # of the header, which holds the lengths of the parts
MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 64  # a preset file has at most 20 presets

Header = dict[str, Any]
Look = Callable[[], None]  # called again and again while nothing comes or goes; raises to end the wait


class HungUpError(Exception):
    """The other side closed its end."""


def send(channel: socket.socket, header: Header, *parts: bytes, look: Look | None = None) -> None:
    """Send one frame, its parts without copying them. Raises OSError, and what ``look`` raises."""
    head = json.dumps({**header, "parts": [len(part) for part in parts]}).encode()
    for piece in (_LENGTH.pack(len(head)) + head, *parts):
        _send_all(channel, piece, look)


def receive(channel: socket.socket, max_bytes: int, look: Look | None = None) -> tuple[Header, list[bytes]]:
    """Receive one frame. With ``look`` the socket needs a timeout, after which ``look`` is called.

    Raises HungUpError, OSError, what ``look`` raises, and ValueError for what is longer than allowed or no frame.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size, look))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header, lengths = _read_header(_receive_exactly(channel, length, look))
    if sum(lengths) > max_bytes:
        raise ValueError(f"parts of {lengths} bytes")
    return header, [_receive_exactly(channel, length, look) for length in lengths]


def _read_header(text: bytes) -> tuple[Header, list[int]]:
    try:
        header = json.loads(text)
    except RecursionError as fault:
        raise ValueError("a header of too many levels") from fault
    lengths = header.pop("parts", None) if isinstance(header, dict) else None
    if not isinstance(lengths, list) or len(lengths) > MAX_PARTS:
        raise ValueError("no header of a frame")
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise ValueError("lengths that are none")
    return header, lengths


def _send_all(channel: socket.socket, data: bytes, look: Look | None) -> None:
    if look is None:
        channel.sendall(data)
        return
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[channel.send(rest) :]
        except TimeoutError:
            pass
        look()


def _receive_exactly(channel: socket.socket, size: int, look: Look | None) -> bytes:
    if look is None:
        return _receive_at_once(channel, size)
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        try:
            count = channel.recv_into(rest)
        except TimeoutError:
            count = -1
        if count == 0:
            raise HungUpError
        rest = rest[max(0, count) :]
        look()
    return bytes(data)


def _receive_at_once(channel: socket.socket, size: int) -> bytes:
    """Receive megabytes without copying them again: a blocking socket fills the whole buffer in one call."""
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise HungUpError
        data = data + more if data else more
    return data
