"""Servers that move to another address: a name is resolved again for every new connection."""

import socket

import pytest

from chaos.proxy import Proxy
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings


class Names:
    """A resolver with one name, whose address changes."""

    def __init__(self, resolve):
        self._resolve = resolve
        self.proxy = None

    def move(self, target):
        """Change the address of the name; the old one rejects connections."""
        if self.proxy:
            self.proxy.mode = "reset"
            self.proxy.close()
        self.proxy = Proxy(target).start()

    def __call__(self, host, port, *arguments, **options):
        if host == "moving.test":
            host, port = "127.0.0.1", self.proxy.port
        return self._resolve(host, port, *arguments, **options)


@pytest.fixture
def names(monkeypatch):
    names = Names(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.proxy.close()


def test_a_broker_that_moved_is_found(stack, broker, names):
    names.move(stack.installation.ports["RABBITMQ_PORT"])
    with Publisher(broker.settings.model_copy(update={"rabbitmq_host": "moving.test"}), "test moving") as publisher:
        assert publisher.message_count("image_queue") >= 0
        names.move(stack.installation.ports["RABBITMQ_PORT"])
        assert publisher.message_count("image_queue") >= 0


def test_a_store_that_moved_is_found(stack, names):
    names.move(stack.installation.ports["MINIO_PORT"])
    secrets = stack.installation.secrets
    keys = {"minio_access_key": secrets["MINIO_ROOT_USER"], "minio_secret_key": secrets["MINIO_ROOT_PASSWORD"]}
    storage = Storage(StoreSettings(minio_url="http://moving.test:9000", **keys))
    for _ in range(2):
        storage.put("images-processed", "test/moving", b"x", "image/png")
        assert storage.list_keys("images-processed", "test/moving") == ["test/moving"]
        names.move(stack.installation.ports["MINIO_PORT"])
    storage.delete("images-processed", "test/moving")
