"""A RabbitMQ for tests that break it, with an administrator's access."""

import json
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import pika
import pytest

from tests.support.waiting import wait_until
from thumbmill.core.messaging.publisher import Publisher, connect
from thumbmill.core.settings import BrokerSettings


@dataclass(frozen=True)
class Broker:
    settings: BrokerSettings
    management: str

    @contextmanager
    def channel(self):
        connection = connect(self.settings, "test")
        try:
            yield connection.channel()
        finally:
            connection.close()

    def send(self, queue, *bodies):
        with Publisher(self.settings, "test") as publisher:
            for body in bodies:
                publisher.publish("", queue, body)

    def length(self, queue):
        with self.channel() as channel:
            return channel.queue_declare(queue, passive=True).method.message_count

    def exists(self, queue):
        with self.channel() as channel:
            try:
                channel.queue_declare(queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                return False
            return True

    def take(self, queue):
        with self.channel() as channel:
            _, properties, body = channel.basic_get(queue, auto_ack=True)
            return body, properties.headers

    def take_and_die(self, queue):
        """Get a message and close the connection without an acknowledgement, as a killed consumer does."""

        def take():
            with self.channel() as channel:
                return channel.basic_get(queue)[0]

        wait_until(take, 10, f"a message in {queue}")

    def close_connections_named(self, name):
        def close():
            found = [
                c
                for c in self._request("GET", "/connections")
                if c.get("client_properties", {}).get("connection_name") == name
            ]
            for connection in found:
                self._request("DELETE", f"/connections/{quote(connection['name'], safe='')}")
            return found

        wait_until(close, 20, f"a connection named {name!r} in the management API")

    def _request(self, method, path):
        credentials = f"{self.settings.rabbitmq_user}:{self.settings.rabbitmq_password.get_secret_value()}"
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.management}/api{path}",
            method=method,
            headers={"Authorization": "Basic " + b64encode(credentials.encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return json.loads(response.read() or b"null")


@pytest.fixture(scope="session")
def broker(stack):
    ports = stack.installation.ports
    settings = BrokerSettings(
        rabbitmq_port=ports["RABBITMQ_PORT"],
        rabbitmq_user="admin",
        rabbitmq_password=stack.installation.secrets["RABBITMQ_ADMIN_PASSWORD"],
    )
    return Broker(settings, f"http://127.0.0.1:{ports['RABBITMQ_MANAGEMENT_PORT']}")
