"""How far the tracker has caught up: a mark goes through its own queue, and all that was ahead of it has been seen.

An id that the API handed out is announced before it is handed out. So if an image has no row, and its id was made
well before the last mark that came back, there is no such image.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.events import Watermark
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.tracker.timeline import ReceivedWatermark

PATIENCE = timedelta(seconds=30)  # a mark that has not come back by then is taken for lost, and another is sent


class Watermarks:
    """Keeps one mark under way. One thread sends, one receives; each writes what the other only reads."""

    def __init__(self) -> None:
        self._sent = self._returned = self._order_lost = datetime.min.replace(tzinfo=UTC)

    @property
    def returned(self) -> datetime:
        """When the mark was sent that came back last; long ago, where this tracker only stands by."""
        return self._returned

    def send(self, publisher: Publisher) -> None:
        """Send a mark, unless one is under way. Raises DependencyAway."""
        now = datetime.now(UTC)
        if self._returned < self._sent and now - self._sent < PATIENCE:
            return
        self._sent = now
        publisher.publish_event(to_cloud_event(Watermark(), by="status-tracker", now=now))

    @contextmanager
    def track(self, marks: Sequence[ReceivedWatermark]) -> Iterator[datetime | None]:
        """Give the time up to which everything is seen once the block ends well; None if no mark says so.

        After a fault messages may come back behind younger ones, so no mark counts that was sent before it.
        """
        times = [mark.time for mark in marks]
        self._returned = max([self._returned, *times])
        try:
            yield max((time for time in times if time > self._order_lost), default=None)
        except BaseException:
            self._order_lost = datetime.now(UTC)
            raise
