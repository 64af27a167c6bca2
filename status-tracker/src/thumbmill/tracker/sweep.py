"""The sweep republishes events that the thumbnailer has not acted upon for a while, though its queue is empty.

It finds what the two notification targets and their comparison could not: an event that reached the tracker's queue
and was lost on its way to the thumbnailer's. It also publishes that forms expired unused. That event passes through
the tracker's queue behind all that was uploaded before, so it never overtakes an upload.
"""

from dataclasses import dataclass
from datetime import timedelta

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.events import UploadExpired
from thumbmill.core.contracts.senders import TRACKER
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.republish import republish_image

PAGE = 50  # rows claimed at once; they wait for another sweep if a dependency becomes unavailable meanwhile
MAX_IMAGES = 500  # in one sweep
RECORDED_BY = "sweep"  # as the timeline shows it


@dataclass(frozen=True)
class Sweep:
    """Belongs to one thread, as its repository and its publisher do."""

    repository: Repository
    tracker: Tracker
    storage: Storage
    publisher: Publisher
    image_queue: str
    age: timedelta

    def run(self) -> int:
        """Republish what is overdue, and return the number of images. Raise DependencyUnavailable."""
        count = self._republish_overdue()
        self._publish_expired()
        return count

    def _republish_overdue(self) -> int:
        if self.publisher.message_count(self.image_queue) > 0:
            return 0  # the thumbnailer is only late
        count = 0
        while count < MAX_IMAGES:
            page = self.repository.claim_overdue(self.age, PAGE)
            for row in page:
                republish_image(row, self.tracker, self.storage, self.publisher, by=RECORDED_BY)
            count += len(page)
            if len(page) < PAGE:
                break
        return count

    def _publish_expired(self) -> None:
        for _ in range(0, MAX_IMAGES, PAGE):
            page = self.repository.claim_expired(self.age, PAGE)
            for row in page:
                if row.expires_at:
                    expired = UploadExpired(key=row.key, expires_at=row.expires_at)
                    self.publisher.publish_event(to_cloud_event(expired, by=TRACKER))
            if len(page) < PAGE:
                return
