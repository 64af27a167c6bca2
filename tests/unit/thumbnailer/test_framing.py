import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from thumbmill.thumbnailer.sandbox import framing


def pair():
    return socket.socketpair()


def test_a_frame_survives_the_socket():
    local, remote = pair()
    with local, remote, ThreadPoolExecutor(1) as thread:
        parts = [b"", b"x" * 3_000_000, b"y"]
        sent = thread.submit(framing.send, local, {"a": ["ö"]}, *parts)
        assert framing.receive(remote, 4_000_000) == ({"a": ["ö"]}, parts)
        sent.result()


def test_a_frame_that_is_too_long_is_rejected():
    local, remote = pair()
    with local, remote:
        framing.send(local, {}, b"12345")
        with pytest.raises(ValueError, match="5"):
            framing.receive(remote, 4)


def test_a_truncated_frame_raises():
    local, remote = pair()
    with local, remote:
        local.sendall(b"\0\0\0\x20{")
        local.close()
        with pytest.raises(framing.ConnectionClosedError):
            framing.receive(remote, 100)


def test_a_check_can_end_a_wait():
    local, remote = pair()
    local.settimeout(0.01)

    def check():
        raise KeyboardInterrupt

    with local, remote:
        with pytest.raises(KeyboardInterrupt):
            framing.receive(local, 100, check)
        with pytest.raises(KeyboardInterrupt):
            framing.send(local, {}, bytes(10**8), check=check)


def test_a_truncated_frame_raises_with_a_check_too():
    local, remote = pair()
    local.settimeout(0.01)
    with local, remote:
        remote.sendall(b"\0\0\0\x20{")
        remote.close()
        with pytest.raises(framing.ConnectionClosedError):
            framing.receive(local, 100, lambda: None)


HEADERS = {
    "no JSON": b"}",
    "no text": b"\xff\xfe\xfd",
    "of too many levels": b"[" * 60_000,
    "of many levels in a part": b'{"parts": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a list": b"[]",
    "a number": b"1",
    "without parts": b"{}",
    "parts that are no list": b'{"parts": {"a": 1}}',
    "parts that are no numbers": b'{"parts": ["1", null]}',
    "parts that are truths": b'{"parts": [true]}',
    "parts that are fractions": b'{"parts": [1.5, NaN, Infinity]}',
    "parts below nothing": b'{"parts": [-1, 1]}',
    "parts of gigabytes": b'{"parts": [99999999999]}',
    "a part of more digits than Python reads": b'{"parts": [' + b"9" * 5000 + b"]}",
    "thousands of parts": b'{"parts": [' + b"0," * 9999 + b"0]}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_malformed_header_raises_value_error(name):
    local, remote = pair()
    with local, remote:
        head = HEADERS[name]
        local.sendall(len(head).to_bytes(4) + head)
        with pytest.raises(ValueError):  # noqa: PT011 - with any text
            framing.receive(remote, 2**20)
