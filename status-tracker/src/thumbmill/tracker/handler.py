"""The status tracker's handler: events in; rows and a timeline out, in one transaction for a batch."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion
from thumbmill.core.contracts.interventions import RequestEvent, RetryRequested, TimelineOnlyEvent, VariantsMissing
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository, UnitOfWork
from thumbmill.tracker.follow_ups import Reprocessor, delete_rejected_object
from thumbmill.tracker.image_record import BucketState, ImageRecord
from thumbmill.tracker.metrics import CAUGHT_UP_TO, CONFLICTS, EVENTS
from thumbmill.tracker.projection import fold, needs_processing
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository
from thumbmill.tracker.republish import republish, republish_image
from thumbmill.tracker.retention import RetentionRules
from thumbmill.tracker.system_events import record_system_events
from thumbmill.tracker.timeline import (
    ReceivedHeartbeat,
    ReceivedSystemEvent,
    ReceivedWatermark,
    TimelineEvent,
    read_message,
)
from thumbmill.tracker.watermarks import Watermarks

MAX_ATTEMPTS = 5  # for a batch that conflicts with another writer
RECORDED_BY = "tracker"  # as the timeline shows it

Rows = dict[UUID, ImageRecord | None]


@dataclass(frozen=True)
class FollowUps:
    """What is to be done once a batch is committed. All of it follows from the rows, so it can be done twice."""

    rows: Rows = field(default_factory=dict)
    missed: list[TimelineEvent] = field(default_factory=list)  # that the thumbnailer did not get
    rejected: set[tuple[str, ObjectVersion]] = field(default_factory=set)  # objects to delete, with their keys
    retries: list[ImageRecord] = field(default_factory=list)  # requested, and PENDING since


class Tracker:
    """Belongs to one thread, as its repository does."""

    def __init__(
        self,
        repository: Repository,
        storage: Storage,
        watermarks: Watermarks,
        rules: RetentionRules | None = None,
        *,
        allow_unnamed: bool = False,
        on_heartbeat: Callable[[ReceivedHeartbeat], None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._watermarks = watermarks
        self._rules = rules or RetentionRules()
        self._allow_unnamed = allow_unnamed  # accept events that do not name their sender
        self._on_heartbeat = on_heartbeat

    def handle(self, messages: Sequence[Message], publisher: Publisher) -> None:
        """Record the messages' events, then do what follows from them.

        Raise MalformedEvent, DependencyUnavailable, or InvalidValueError for a value that Postgres rejects.
        """
        received = [
            item for message in messages for item in read_message(message, allow_unnamed=self._allow_unnamed)
        ]
        events = [item for item in received if isinstance(item, TimelineEvent)]
        for heartbeat in (item for item in received if isinstance(item, ReceivedHeartbeat)):
            self._on_heartbeat(heartbeat)
        system_events = [item for item in received if isinstance(item, ReceivedSystemEvent)]
        marks = [item for item in received if isinstance(item, ReceivedWatermark)]
        with self._watermarks.track(marks) as caught_up_to:
            record_system_events(self._repository, system_events)
            self.run_follow_ups(self.record(events, caught_up_to), publisher)
            for event in events:
                if isinstance(event.payload, VariantsMissing):
                    self._reprocessor(publisher).replace_missing(event.payload)

    def run_follow_ups(self, follow_ups: FollowUps, publisher: Publisher) -> None:
        """Delete rejected objects, and republish what the thumbnailer must process. Raise DependencyUnavailable."""
        for key, object_version in follow_ups.rejected:
            delete_rejected_object(key, object_version, self, self._storage, by=RECORDED_BY)
        for event in follow_ups.missed:
            republish(publisher, event.body, event.image_id, event.type, found_by=event.recorded_by)
        for row in follow_ups.retries:
            republish_image(row, self, self._storage, publisher, by=RECORDED_BY)

    @retry(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(MAX_ATTEMPTS),
        after=lambda _: CONFLICTS.inc(),
        reraise=True,
    )
    def record(self, events: Sequence[TimelineEvent], caught_up_to: datetime | None = None) -> FollowUps:
        """Write the events and the rows that follow from them. Return what else follows.

        Nothing here depends on whether an event is new to the timeline, so a batch can be redone at any point.
        """
        with self._repository.transaction() as unit_of_work:
            rows = self._apply(events, unit_of_work) if events else {}
            missed = _find_missed(events, rows, unit_of_work)
            if caught_up_to:
                unit_of_work.catch_up(caught_up_to)
        _count(events, rows, caught_up_to)
        rejected = {
            (event.key, event.object_version)
            for event in events
            if event.object_version and _is_rejected(event, rows)
        }
        retries = {event.image_id: rows[event.image_id] for event in events if _starts_retry(event, rows)}
        return FollowUps(rows, missed, rejected, [row for row in retries.values() if row])

    def _apply(self, events: Sequence[TimelineEvent], unit_of_work: UnitOfWork) -> Rows:
        by_image: dict[UUID, list[TimelineEvent]] = defaultdict(list)
        for event in events:
            by_image[event.image_id].append(event)
        before = unit_of_work.lock_images(by_image)
        removed = unit_of_work.find_removals(
            id_ for id_ in by_image if id_ not in before or before[id_].object_version is None
        )
        unchanged: list[TimelineEvent] = []
        after = {
            id_: fold(
                before.get(id_),
                image_events,
                self._make_head_object(image_events[0].key),
                removal_known=id_ in removed,
                purgeable=id_ not in before and any(map(self._rules.is_purgeable, image_events)),
                overwrite=self._rules.overwrite,
                on_unchanged=unchanged.append,
            )
            for id_, image_events in by_image.items()
        }
        deleted = {id_ for id_, row in after.items() if row and row.status is Status.DELETED}
        # Each partition of the timeline has its own key, so a repetition with another time has to be looked for.
        known = unit_of_work.find_events(event.id for event in unchanged if event.may_recur)
        unit_of_work.write(
            [
                event
                for event in events
                if (after[event.image_id] or _is_kept_without_row(event)) and event.id not in known
            ],
            [row for id_, row in after.items() if row is not None and row != before.get(id_)],
            deleted,
        )
        if forgotten := {id_ for id_ in deleted if _is_forgotten(before.get(id_), after[id_])}:
            unit_of_work.forget_personal(forgotten)
        return after

    def _make_head_object(self, key: str) -> Callable[[], BucketState]:
        """Return a function that asks the bucket once, with the row locked, for all events of a batch."""
        found: list[BucketState] = []  # functools.cache would take 5 µs for each image

        def head_object() -> BucketState:
            if not found:
                found.append(self._head_object(key))
            return found[0]

        return head_object

    def _head_object(self, key: str) -> BucketState:
        try:
            head = self._storage.head(ORIGINALS_BUCKET, key)
        except ObjectNotFoundError:
            return BucketState(None)
        except InvalidKeyError as error:
            raise MalformedEvent(f"no object can have the key {key[:100]!r}: {error}") from error
        return BucketState(head.object_version, head.content_type, head.file_name, head.batch)

    def _reprocessor(self, publisher: Publisher) -> Reprocessor:
        repository = ReconciliationRepository(self._repository)
        return Reprocessor(self, repository, self._storage, publisher, RECORDED_BY)


def _is_forgotten(before: ImageRecord | None, after: ImageRecord | None) -> bool:
    """Return whether a deleted image has just lost personal data: with its object, or with its key later."""
    if before is None or after is None or before.status is not Status.DELETED:
        return True
    return before.key != after.key


def _is_kept_without_row(event: TimelineEvent) -> bool:
    return event.is_removal or isinstance(event.payload, RequestEvent | TimelineOnlyEvent)


def _is_rejected(event: TimelineEvent, rows: Rows) -> bool:
    row = rows.get(event.image_id)
    return row is not None and row.rejected_version == event.object_version and row.status is Status.DELETED


def _starts_retry(event: TimelineEvent, rows: Rows) -> bool:
    """Return whether an image is PENDING for the very run that this event requests."""
    row, payload = rows.get(event.image_id), event.payload
    return (
        isinstance(payload, RetryRequested)
        and row is not None
        and (row.status, row.run_id, row.object_version) == (Status.PENDING, payload.run_id, payload.object_version)
    )


def _find_missed(events: Iterable[TimelineEvent], rows: Rows, unit_of_work: UnitOfWork) -> list[TimelineEvent]:
    """Return what DURABLE announced and IMMEDIATE did not, where the thumbnailer has not acted either."""
    waiting = {
        event.counterpart_id: event
        for event in events
        if event.counterpart_id and needs_processing(rows.get(event.image_id), event)
    }
    if not waiting:
        return []
    # Both targets give the event the same time, unless it was forged: then the times of their arrival.
    since = min(event.occurred for event in waiting.values()) - timedelta(days=1)
    known = unit_of_work.find_events(waiting, since)
    return [event for counterpart_id, event in waiting.items() if counterpart_id not in known]


def _count(events: Iterable[TimelineEvent], rows: Rows, caught_up_to: datetime | None) -> None:
    events = list(events)
    for labels, number in Counter((event.type, event.recorded_by) for event in events).items():
        EVENTS.labels(*labels).inc(number)
    if unknown := sum(rows.get(event.image_id) is None for event in events):
        IGNORED.labels("unknown image").inc(unknown)
    if caught_up_to:
        CAUGHT_UP_TO.set(caught_up_to.timestamp())
