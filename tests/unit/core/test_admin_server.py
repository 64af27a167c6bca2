"""What the side port makes of an order, without a socket: bytes in, bytes out."""

import json
from email import message_from_string
from io import BytesIO
from types import SimpleNamespace

import pytest

from thumbmill.core.service.admin_server import MAX_COMMAND_BYTES, _Handler

JSON = "Content-Type: application/json"


class Gone(BytesIO):
    """A client that takes so many lines and hangs up."""

    def __init__(self, patience):
        super().__init__()
        self.patience = patience

    def write(self, data):
        self.patience -= 1
        if self.patience < 0:
            raise BrokenPipeError
        return super().write(data)


def order(body, orders, *, headers=JSON, path="/order", out=None):
    """Have a handler answer a POST; give the status, and the body's lines."""
    handler = _Handler.__new__(_Handler)
    handler.server = SimpleNamespace(liveness=lambda: "", readiness={}, commands=orders)
    handler.path, handler.request_version, handler.requestline = path, "HTTP/1.0", "POST"
    handler.headers = message_from_string(f"{headers}\nContent-Length: {len(body)}\n\n")
    handler.rfile, handler.wfile = BytesIO(body), out or BytesIO()
    handler.do_POST()
    head, _, rest = handler.wfile.getvalue().partition(b"\r\n\r\n")
    return int(head.split()[1]), [json.loads(line) for line in rest.splitlines()]


def echo(wishes):
    return ({"number": number, **wishes} for number in range(3))


def test_an_order_is_answered_line_by_line():
    assert order(b'{"a": 1}', {"/order": echo}) == (200, [{"number": n, "a": 1} for n in range(3)])
    assert order(b"", {"/order": echo}) == (200, [{"number": n} for n in range(3)])


def refuse(wishes):
    raise ValueError(f"no {wishes}")


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (b"{}", "Content-Type: text/plain", "Content-Type"),  # what a page may send without asking
        (b"{}", "Accept: application/json", "Content-Type"),
        (b"[]", JSON, "object"),
        (b"{", JSON, ""),
        (b" " * (MAX_COMMAND_BYTES + 1), JSON, str(MAX_COMMAND_BYTES)),
        (b'{"a": 1}', JSON, "no {'a': 1}"),
    ],
)
def test_wrong_orders_are_refused_with_the_reason(body, headers, says):
    status, [told] = order(body, {"/order": refuse}, headers=headers)
    assert status == 400
    assert says in told["error"]


def test_an_order_that_nobody_takes_is_not_found():
    status, [told] = order(b"{}", {"/order": echo}, path="/other")
    assert status == 404
    assert "/order" in told["paths"]


def test_when_nobody_listens_any_more_it_is_closed():
    closed = []

    def endless():
        try:
            while True:
                yield {}
        finally:
            closed.append(True)

    lines = endless()
    order(b"{}", {"/order": lambda _: lines}, out=Gone(5))
    assert closed == [True]
