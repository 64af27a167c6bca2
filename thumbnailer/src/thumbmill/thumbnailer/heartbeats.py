"""Heartbeats: what this process is and how much it is doing, published at an interval, for operators to see."""

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic
from typing import Self

import structlog

from thumbmill.core.build_info import get_version
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.system_events import WorkerAlive
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.thumbnailer.settings import Settings

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 5.0  # between two responses to RabbitMQ's own heartbeats
STOP_SECONDS = 5.0  # for the last heartbeat


@dataclass(frozen=True)
class Process:
    """What does not change while a thumbnailer runs."""

    settings: Settings
    worker: uuid.UUID = field(default_factory=uuid.uuid4)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def describe(self, in_flight: int, *, stopped: bool) -> WorkerAlive:
        """Return a heartbeat."""
        return WorkerAlive(
            worker=self.worker,
            host=socket.gethostname(),
            process_id=os.getpid(),
            version=get_version(),
            started_at=self.started_at,
            interval_seconds=self.settings.heartbeat_interval_seconds,
            decoders=self.settings.thumbnailer_decoders,
            slow_decoders=self.settings.slow_decoders,
            in_flight=in_flight,
            presets=self.settings.presets.key_version,
            stopped=stopped,
        )


class Heartbeats:
    """Publishes from a thread of its own while used as a context manager; the last heartbeat says that it stops.

    While RabbitMQ is unavailable none is published: the consumer reports that.
    """

    def __init__(self, process: Process, publisher: Publisher, count_in_flight: Callable[[], int]) -> None:
        self._process = process
        self._publisher = publisher
        self._count_in_flight = count_in_flight
        self._stop = Event()
        self._thread = Thread(target=self._run, name="heartbeats", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        due = monotonic()
        while not self._stop.wait(min(max(0.0, due - monotonic()), KEEP_ALIVE_SECONDS)):
            if monotonic() < due:
                self._publisher.keep_alive()
                continue
            self._publish(stopped=False)
            due = monotonic() + self._process.settings.heartbeat_interval_seconds
        self._publish(stopped=True)
        self._publisher.close()

    def _publish(self, *, stopped: bool) -> None:
        heartbeat = self._process.describe(self._count_in_flight(), stopped=stopped)
        try:
            self._publisher.publish_event(to_cloud_event(heartbeat, by="thumbnailer"))
        except DependencyUnavailable as error:
            log.debug("heartbeat_failed", error=str(error))
        except Exception:  # a bug here must not hide that the images are processed
            log.exception("heartbeat_failed")
