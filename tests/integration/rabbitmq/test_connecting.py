"""Connecting to a server that does not respond as a broker, or that closes the connection in the handshake."""

import socket
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
from pika import frame, spec

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging import publisher

SILENCE, CLOSE = "silence", "close"
CAPABLE = {"capabilities": {"authentication_failure_close": True, "publisher_confirms": True}}
START = spec.Connection.Start(0, 9, CAPABLE, "PLAIN", "en_US")
TUNE = spec.Connection.Tune(2047, 131072, 15)
DOWN = spec.Connection.Close(541, "INTERNAL_ERROR - access to vhost '/' refused: it is down", 0, 0)
FULL = spec.Connection.Close(
    530, "NOT_ALLOWED - access to vhost '/' refused: connection limit (9) is reached", 0, 0
)
STOPPING = spec.Connection.Close(320, "CONNECTION_FORCED - broker forced connection closure", 0, 0)
WRONG_LOGIN = spec.Connection.Close(403, "ACCESS_REFUSED - Login was refused", 0, 0)
WRONG_HOST = spec.Connection.Close(530, "NOT_ALLOWED - vhost nowhere not found", 0, 0)


def connect(broker, port):
    return publisher.connect(broker.settings.model_copy(update={"rabbitmq_port": port}), "test")


@pytest.mark.parametrize(
    "script", [SILENCE, CLOSE, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "close", "HTTP"]
)
def test_a_server_that_does_not_respond_as_a_broker_is_unavailable(broker, monkeypatch, script):
    monkeypatch.setattr(publisher, "CONNECT_SECONDS", 0.2)  # the handshake has twice as long
    with server([script]) as port, pytest.raises(DependencyUnavailable, match=r"^rabbitmq is unavailable: ."):
        connect(broker, port)


@pytest.mark.parametrize(
    "script",
    [[START, CLOSE], [START, STOPPING], [START, TUNE, CLOSE], [START, TUNE, DOWN], [START, TUNE, FULL]],
    ids=["login", "stopping", "opening", "host is down", "too many connections"],
)
def test_a_broker_that_closes_the_connection_in_the_handshake_is_unavailable(broker, script):
    with server(script) as port, pytest.raises(DependencyUnavailable) as raised:
        connect(broker, port)
    assert not isinstance(raised.value, DependencyRejected)


@pytest.mark.parametrize(
    ("script", "variable"),
    [([START, WRONG_LOGIN], "RABBITMQ_PASSWORD"), ([START, TUNE, WRONG_HOST], "RABBITMQ_VHOST")],
)
def test_a_broker_that_rejects_the_login_is_reported_with_the_variable(broker, script, variable):
    with server(script) as port, pytest.raises(DependencyRejected, match=variable):
        connect(broker, port)


@contextmanager
def server(script):
    """Listen, and send the first client one part of the script for each part that it sends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=play, args=(listener, script), daemon=True).start()
        yield listener.getsockname()[1]


def play(listener, script):
    with suppress(OSError), listener.accept()[0] as channel:
        for part in script:
            channel.recv(4096)
            if part is CLOSE:
                return
            if part is SILENCE:
                break
            channel.sendall(part if isinstance(part, bytes) else frame.Method(0, part).marshal())
        channel.recv(4096)  # until the client closes the connection
