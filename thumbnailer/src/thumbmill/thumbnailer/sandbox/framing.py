"""The frames on the socket between a decoder and its child: a JSON header and byte strings.

An image may have taken the child over, so the parent trusts nothing in a frame: neither its lengths nor the form of
its header, nor that it will ever be complete.
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
Check = Callable[[], None]  # called repeatedly during a transfer; raises to end it


class ConnectionClosedError(Exception):
    """The other side closed its end."""


def send(channel: socket.socket, header: Header, *parts: bytes, check: Check | None = None) -> None:
    """Send one frame without copying its parts. Raise OSError, and what ``check`` raises."""
    head = json.dumps({**header, "parts": [len(part) for part in parts]}).encode()
    for piece in (_LENGTH.pack(len(head)) + head, *parts):
        _send_all(channel, piece, check)


def receive(channel: socket.socket, max_bytes: int, check: Check | None = None) -> tuple[Header, list[bytes]]:
    """Receive one frame. With ``check`` the socket needs a timeout, after which ``check`` is called.

    Raise ConnectionClosedError, OSError, what ``check`` raises, and ValueError for a frame that is malformed or too
    long.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size, check))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"the header has {length} bytes, more than {MAX_HEADER_BYTES}")
    header, lengths = _read_header(_receive_exactly(channel, length, check))
    if sum(lengths) > max_bytes:
        raise ValueError(f"the parts have {sum(lengths)} bytes, more than {max_bytes}")
    return header, [_receive_exactly(channel, length, check) for length in lengths]


def _read_header(text: bytes) -> tuple[Header, list[int]]:
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("the header is nested too deeply") from error
    lengths = header.pop("parts", None) if isinstance(header, dict) else None
    if not isinstance(lengths, list) or len(lengths) > MAX_PARTS:
        raise ValueError(f"the header does not list the lengths of at most {MAX_PARTS} parts")
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise ValueError("the length of a part is not a number of bytes")
    return header, lengths


def _send_all(channel: socket.socket, data: bytes, check: Check | None) -> None:
    if check is None:
        channel.sendall(data)
        return
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[channel.send(rest) :]
        except TimeoutError:
            pass
        check()


def _receive_exactly(channel: socket.socket, size: int, check: Check | None) -> bytes:
    if check is None:
        return _receive_at_once(channel, size)
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        try:
            count = channel.recv_into(rest)
        except TimeoutError:
            count = -1
        if count == 0:
            raise ConnectionClosedError
        rest = rest[max(0, count) :]
        check()
    return bytes(data)


def _receive_at_once(channel: socket.socket, size: int) -> bytes:
    """Receive megabytes without copying them again: a blocking socket fills the whole buffer in one call."""
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise ConnectionClosedError
        data = data + more if data else more
    return data
