"""The sweep: what the thumbnailer has not acted upon for a while, though its queue is empty, is announced again.

This finds what the two notification targets and the ledger's comparison could not: an event that reached the
tracker's queue and was lost on its way to the thumbnailer's.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from pipeline.identity import ORIGINALS
from pipeline.notifications import parse_storage_events
from pipeline.publisher import Publisher
from pipeline.storage import BadKeyError, Head, NotThereError, Storage
from status_tracker.facts import from_storage
from status_tracker.recovery import announce, removal_body, upload_body
from status_tracker.repository import Repository
from status_tracker.states import Row, Status
from status_tracker.tracker import Tracker

log = structlog.get_logger()

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
        if self.publisher.queue_length(self.image_queue) > 0:
            return 0  # the thumbnailer is only late
        count = 0
        while count < MOST:
            page = self.repository.claim_overdue(self.age, PAGE)
            for row in page:
                self._tell_again(row)
            count += len(page)
            if len(page) < PAGE:
                break
        return count

    def _tell_again(self, row: Row) -> None:
        try:
            head = self._look_at(row) if row.status is Status.PENDING else None
        except BadKeyError as fault:
            log.warning("sweep_cannot_look", image_id=str(row.id), fault=str(fault))
            return
        body = upload_body(row.key, head) if head else removal_body(row.key)
        event = parse_storage_events(body)[0]
        fact = from_storage(event, NAME, body)
        if row.status is Status.PENDING and event.source != row.source:
            self.tracker.record([fact])  # the bucket moved on, and nobody said so
        announce(self.publisher, body, row.id, fact.type, found_by=NAME)

    def _look_at(self, row: Row) -> Head | None:
        try:
            return self.storage.head(ORIGINALS, row.key)
        except NotThereError:
            return None
