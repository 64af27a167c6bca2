"""The sweep: what the thumbnailer has not acted upon for a while, though its queue is empty, is announced again.

This finds what the two notification targets and the ledger's comparison could not: an event that reached the
tracker's queue and was lost on its way to the thumbnailer's.
"""

from dataclasses import dataclass
from datetime import timedelta

from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.reminder import republish_image

PAGE = 50  # what is claimed at once, and waits another round if a dependency goes away meanwhile
MOST = 500  # in one sweep
NAME = "sweep"  # as the timeline has it


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
        """Announce again what is overdue and give its number. Raises DependencyAway."""
        if self.publisher.message_count(self.image_queue) > 0:
            return 0  # the thumbnailer is only late
        count = 0
        while count < MOST:
            page = self.repository.claim_overdue(self.age, PAGE)
            for row in page:
                republish_image(row, self.tracker, self.storage, self.publisher, by=NAME)
            count += len(page)
            if len(page) < PAGE:
                break
        return count
