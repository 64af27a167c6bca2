"""The admin port's client: what each answer of a tracker means."""

import httpx
import pytest

from thumbmill.cli.tracker_client import TrackerClient
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

REQUEST = {"id": 7, "state": "waiting", "report": None, "error": ""}


def client(answer):
    return TrackerClient("http://tracker", httpx.MockTransport(answer))


def test_a_request_is_created_read_and_cancelled_by_its_id():
    seen = []

    def answer(request):
        seen.append((request.method, request.url.path, request.url.query, request.content))
        return httpx.Response(202, json=REQUEST)

    tracker = client(answer)
    assert tracker.create("/retry", {"force": True}) == REQUEST
    assert tracker.read("/retry", 7) == tracker.cancel("/retry", 7) == REQUEST
    assert seen == [
        ("POST", "/retry", b"", b'{"force":true}'),
        ("GET", "/retry", b"id=7", b""),
        ("POST", "/retry/cancel", b"", b'{"id":7}'),
    ]


@pytest.mark.parametrize(
    ("response", "error", "reason"),
    [
        (httpx.Response(503, json={"error": "postgres is unavailable"}), DependencyUnavailable, "postgres"),
        (httpx.Response(400, json={"error": "codes: invalid"}), DependencyRejected, "codes: invalid"),
        (httpx.Response(404, text="not found"), DependencyRejected, "404"),
        (httpx.Response(200, json={"status": "ok"}), DependencyRejected, "version"),
        (httpx.Response(200, json=[1]), DependencyRejected, "version"),
        (httpx.Response(200, text="{"), DependencyUnavailable, "status-tracker"),
    ],
)
def test_other_answers_are_errors_with_a_reason(response, error, reason):
    with pytest.raises(DependencyUnavailable, match=reason) as raised:
        client(lambda _: response).create("/retry", {})
    assert type(raised.value) is error


def test_a_connection_that_fails_is_an_unavailable_tracker():
    def refuse(request):
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(DependencyUnavailable, match="refused"):
        client(refuse).read("/retry", 7)
