from threading import Event

import pytest

from tests.support.waiting import wait_until
from thumbmill.core.contracts.cloud_event import parse_lifecycle_event
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.thumbnailer.heartbeats import Heartbeats, Process
from thumbmill.thumbnailer.settings import Settings

SETTINGS = Settings(
    minio_access_key="a",
    minio_secret_key="b",
    rabbitmq_user="thumbnailer",
    rabbitmq_password="c",
    heartbeat_interval_seconds=86_400,
    thumbnailer_decoders=3,
    thumbnailer_slow_decoders=2,
)


class Publisher:
    def __init__(self, errors=()):
        self.errors = list(errors)
        self.published = []
        self.closed = Event()

    def publish_event(self, event):
        if self.errors:
            raise self.errors.pop()
        self.published.append(parse_lifecycle_event(event.to_json()))

    def keep_alive(self):
        pass

    def close(self):
        self.closed.set()


def test_the_first_heartbeat_comes_at_the_start_and_the_last_one_says_that_it_stops():
    publisher, process = Publisher(), Process(SETTINGS)
    with Heartbeats(process, publisher, lambda: 7):
        wait_until(lambda: publisher.published, 10, "the first heartbeat")
    first, last = publisher.published
    assert (first.source, first.subject, first.type.value) == ("/thumbnailer", "", "worker.alive")
    assert (first.data.decoders, first.data.slow_decoders, first.data.in_flight) == (3, 2, 7)
    assert first.data.interval_seconds == 86_400
    assert (first.data.stopped, last.data.stopped) == (False, True)
    assert first.data.worker == last.data.worker == process.worker
    assert publisher.closed.is_set()


@pytest.mark.parametrize("error", [DependencyUnavailable("rabbitmq"), ValueError("a bug")])
def test_a_heartbeat_that_fails_harms_nothing(error):
    publisher = Publisher([error])
    with Heartbeats(Process(SETTINGS), publisher, lambda: 0):
        wait_until(lambda: not publisher.errors, 10, "the first heartbeat")
    assert [event.data.stopped for event in publisher.published] == [True]
