"""What stands behind the broker's port and is no broker that answers, or one that goes away in mid-handshake."""

import socket
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
from pika import frame, spec

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging import publisher

SILENCE, HANG_UP = "silence", "hang up"
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
    return publisher.connect(broker.settings.model_copy(update={"rabbitmq_port": port}), "the test's own")


@pytest.mark.parametrize(
    "says", [SILENCE, HANG_UP, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "end", "nonsense"]
)
def test_a_peer_that_does_not_answer_as_a_broker_is_a_broker_that_is_away(broker, monkeypatch, says):
    monkeypatch.setattr(publisher, "CONNECT_SECONDS", 0.2)  # the handshake has twice as long
    with peer([says]) as port, pytest.raises(DependencyUnavailable, match=r"^rabbitmq is unavailable: ."):
        connect(broker, port)


@pytest.mark.parametrize(
    "says",
    [[START, HANG_UP], [START, STOPPING], [START, TUNE, HANG_UP], [START, TUNE, DOWN], [START, TUNE, FULL]],
    ids=["login", "stopping", "opening", "host is down", "too many connections"],
)
def test_a_broker_that_goes_away_in_the_handshake_has_not_refused_us(broker, says):
    with peer(says) as port, pytest.raises(DependencyUnavailable) as raised:
        connect(broker, port)
    assert not isinstance(raised.value, DependencyRejected)


@pytest.mark.parametrize(
    ("says", "named"),
    [([START, WRONG_LOGIN], "RABBITMQ_PASSWORD"), ([START, TUNE, WRONG_HOST], "RABBITMQ_VHOST")],
)
def test_a_broker_that_refuses_us_in_the_handshake_is_told_as_such(broker, says, named):
    with peer(says) as port, pytest.raises(DependencyRejected, match=named):
        connect(broker, port)


@contextmanager
def peer(says):
    """Listen, and say one thing for each that the first who comes says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=answer, args=(listener, says), daemon=True).start()
        yield listener.getsockname()[1]


def answer(listener, says):
    with suppress(OSError), listener.accept()[0] as channel:
        for word in says:
            channel.recv(4096)
            if word is HANG_UP:
                return
            if word is SILENCE:
                break
            channel.sendall(word if isinstance(word, bytes) else frame.Method(0, word).marshal())
        channel.recv(4096)  # until the client hangs up
