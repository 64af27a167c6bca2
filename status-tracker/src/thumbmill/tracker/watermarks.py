"""How far the tracker has caught up: a watermark passes through its own queue behind all earlier events.

An ID that the API returns is published before it is returned. So if an image has no row, and its ID was generated
well before the last watermark that came back, there is no such image.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.tracker.timeline import ReceivedWatermark

LOST_AFTER = timedelta(seconds=30)  # a watermark that has not come back by then counts as lost; another is sent


class Watermarks:
    """Keeps one watermark in flight. One thread sends, one receives; each writes what the other only reads."""

    def __init__(self) -> None:
        self._sent = self._returned = self._order_lost = datetime.min.replace(tzinfo=UTC)

    @property
    def returned(self) -> datetime:
        """When the watermark was sent that came back last; long ago if this tracker is on standby."""
        return self._returned

    def send(self, publisher: Publisher) -> None:
        """Send a watermark, unless one is in flight. Raise DependencyUnavailable."""
        now = datetime.now(UTC)
        if self._returned < self._sent and now - self._sent < LOST_AFTER:
            return
        self._sent = now
        publisher.publish_event(to_cloud_event(Watermark(), by="status-tracker", now=now))

    @contextmanager
    def track(self, watermarks: Sequence[ReceivedWatermark]) -> Iterator[datetime | None]:
        """Yield the time up to which everything has been seen if the block succeeds; None if no watermark shows it.

        After an error messages may be redelivered behind younger ones, so no watermark counts that was sent before.
        """
        times = [watermark.time for watermark in watermarks]
        self._returned = max([self._returned, *times])
        try:
            yield max((time for time in times if time > self._order_lost), default=None)
        except BaseException:
            self._order_lost = datetime.now(UTC)
            raise
