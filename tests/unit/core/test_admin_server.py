"""The JSON endpoints of the admin port, without a socket: bytes in, bytes out."""

import json
from email import message_from_string
from io import BytesIO
from types import SimpleNamespace

import pytest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.service.admin_server import MAX_PARAMETERS_BYTES, _Handler

JSON = "Content-Type: application/json"


def request(method, endpoint, body=b"", *, headers=JSON, path="/jobs"):
    """Have a handler answer a request; return the status and the JSON."""
    handler = _Handler.__new__(_Handler)
    endpoints = {(method, "/jobs"): endpoint}
    handler.server = SimpleNamespace(liveness=lambda: "", readiness=dict, endpoints=endpoints)
    handler.path, handler.request_version, handler.requestline = path, "HTTP/1.0", method
    handler.headers = message_from_string(f"{headers}\nContent-Length: {len(body)}\n\n")
    handler.rfile, handler.wfile = BytesIO(body), BytesIO()
    getattr(handler, f"do_{method}")()
    head, _, rest = handler.wfile.getvalue().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(rest)


def echo(parameters):
    return {"got": dict(parameters)}


def fail_with(error):
    def endpoint(parameters):
        raise error

    return endpoint


def refuse(parameters):
    raise ValueError(f"no {parameters}")


def test_a_post_passes_its_object_and_answers_with_json():
    assert request("POST", echo, b'{"a": 1}') == (202, {"got": {"a": 1}})
    assert request("POST", echo) == (202, {"got": {}})


def test_a_get_passes_its_query():
    assert request("GET", echo, path="/jobs?id=7") == (200, {"got": {"id": "7"}})
    assert request("GET", echo) == (200, {"got": {}})


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"{}", "Content-Type: text/plain", "Content-Type"),  # what a page may send without asking
        (b"{}", "Accept: application/json", "Content-Type"),
        (b"[]", JSON, "object"),
        (b"{", JSON, ""),
        (b" " * (MAX_PARAMETERS_BYTES + 1), JSON, str(MAX_PARAMETERS_BYTES)),
        (b'{"a": 1}', JSON, "no {'a': 1}"),
    ],
)
def test_an_invalid_post_is_rejected_with_the_reason(body, headers, reason):
    status, answer = request("POST", refuse, body, headers=headers)
    assert status == 400
    assert reason in answer["error"]


def test_what_an_endpoint_cannot_find_or_reach_has_a_status_of_its_own():
    assert request("GET", fail_with(LookupError("no request 7")))[0] == 404
    status, answer = request("GET", fail_with(DependencyUnavailable("postgres", "no answer")))
    assert (status, "postgres" in answer["error"]) == (503, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(method):
    status, answer = request(method, echo, b"{}", path="/other")
    assert status == 404
    assert "/jobs" in answer["paths"]
