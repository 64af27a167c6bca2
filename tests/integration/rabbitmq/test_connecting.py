"""What stands behind the broker's port and is no broker that answers."""

import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from pipeline import publisher
from pipeline.outcomes import DependencyAway


@pytest.mark.parametrize(
    "says", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "end", "nonsense"]
)
def test_a_peer_that_does_not_answer_as_a_broker_is_a_broker_that_is_away(broker, monkeypatch, says):
    monkeypatch.setattr(publisher, "CONNECT_SECONDS", 0.2)  # the handshake has twice as long
    with peer(says) as port, pytest.raises(DependencyAway, match=r"^rabbitmq is away: ."):
        publisher.connect(broker.settings.model_copy(update={"rabbitmq_port": port}), "the test's own")


@contextmanager
def peer(says):
    """Listen; keep silent if there is nothing to say, else say it to the first that comes, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if says is not None:
            Thread(target=answer, args=(listener, says), daemon=True).start()
        yield listener.getsockname()[1]


def answer(listener, says):
    with listener.accept()[0] as channel:
        channel.recv(8)  # the client's greeting
        channel.sendall(says)
