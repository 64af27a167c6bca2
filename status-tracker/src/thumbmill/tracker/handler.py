"""The status tracker's handler: facts in, rows and a timeline out, in one transaction for a batch."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from thumbmill.core.contracts.events import RequestEvent, TimelineOnlyEvent
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion
from thumbmill.core.contracts.interventions import RetryRequested, VariantsMissing
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository, UnitOfWork
from thumbmill.tracker.image_record import BucketState, ImageRecord
from thumbmill.tracker.metrics import CAUGHT_UP_TO, CONFLICTS, FACTS
from thumbmill.tracker.projection import fold, needs_processing
from thumbmill.tracker.reminder import republish_image
from thumbmill.tracker.republish import republish
from thumbmill.tracker.requests import remove_rejected_object, replace_missing_variants
from thumbmill.tracker.retention import Rules
from thumbmill.tracker.timeline import ReceivedHeartbeat, ReceivedWatermark, TimelineEvent, read
from thumbmill.tracker.watermarks import Watermarks

TRIES = 5  # of a batch that met another writer
NAME = "tracker"  # as the timeline has it

Rows = dict[UUID, ImageRecord | None]


@dataclass(frozen=True)
class FollowUps:
    """What is to be done once a batch is written. All of it follows from the rows, so it can be done twice."""

    rows: Rows = field(default_factory=dict)
    missed: list[TimelineEvent] = field(default_factory=list)  # which the thumbnailer was never told
    refused: set[tuple[str, ObjectVersion]] = field(default_factory=set)  # objects that are to be removed
    again: list[ImageRecord] = field(default_factory=list)  # asked for, and waiting since


class Tracker:
    """Belongs to one thread, as its repository does."""

    def __init__(
        self,
        repository: Repository,
        storage: Storage,
        watermarks: Watermarks,
        rules: Rules | None = None,
        *,
        allow_unnamed: bool = False,
        receive: Callable[[ReceivedHeartbeat], None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._watermarks = watermarks
        self._rules = rules or Rules()
        self._allow_unnamed = allow_unnamed  # events that do not name their author are believed
        self._hear = receive

    def handle(self, messages: Sequence[Message], publisher: Publisher) -> None:
        """Record what the messages tell, then do what follows from it.

        Raises NotAnEvent, DependencyAway, and UnstorableError for a value that Postgres refuses.
        """
        told = [thing for message in messages for thing in read(message, allow_unnamed=self._allow_unnamed)]
        facts = [thing for thing in told if isinstance(thing, TimelineEvent)]
        for beat in (thing for thing in told if isinstance(thing, ReceivedHeartbeat)):
            self._hear(beat)
        with self._watermarks.track(
            [thing for thing in told if isinstance(thing, ReceivedWatermark)]
        ) as caught_up_to:
            self.run_follow_ups(self.record(facts, caught_up_to), publisher)
            for fact in facts:
                if isinstance(fact.payload, VariantsMissing):
                    replace_missing_variants(
                        fact.payload, self, self._repository, self._storage, publisher, by=NAME
                    )

    def run_follow_ups(self, recorded: FollowUps, publisher: Publisher) -> None:
        """Remove what was refused, and announce what the thumbnailer is to look at. Raises DependencyAway."""
        for key, object_version in recorded.refused:
            remove_rejected_object(key, object_version, self, self._storage, by=NAME)
        for fact in recorded.missed:
            republish(publisher, fact.body, fact.image_id, fact.type, found_by=fact.recorded_by)
        for row in recorded.again:
            republish_image(row, self, self._storage, publisher, by=NAME)

    @retry(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(TRIES),
        after=lambda _: CONFLICTS.inc(),
        reraise=True,
    )
    def record(self, facts: Sequence[TimelineEvent], caught_up_to: datetime | None = None) -> FollowUps:
        """Write facts down with what follows from them for the rows; give what else follows.

        Nothing here depends on whether a fact is new to the timeline, so a batch can be redone at any point.
        """
        with self._repository.transaction() as unit_of_work:
            rows = self._apply(facts, unit_of_work) if facts else {}
            missed = _find_missed(facts, rows, unit_of_work)
            if caught_up_to:
                unit_of_work.catch_up(caught_up_to)
        _count(facts, rows, caught_up_to)
        refused = {
            (fact.key, fact.object_version) for fact in facts if fact.object_version and _is_refused(fact, rows)
        }
        again = {fact.image_id: rows[fact.image_id] for fact in facts if _is_asked_for(fact, rows)}
        return FollowUps(rows, missed, refused, [row for row in again.values() if row])

    def _apply(self, facts: Sequence[TimelineEvent], unit_of_work: UnitOfWork) -> Rows:
        news: dict[UUID, list[TimelineEvent]] = defaultdict(list)
        for fact in facts:
            news[fact.image_id].append(fact)
        before = unit_of_work.lock_images(news)
        removed = unit_of_work.find_removals(
            id_ for id_ in news if id_ not in before or before[id_].object_version is None
        )
        after = {
            id_: fold(
                before.get(id_),
                told,
                self._look_at(told[0].key),
                removal_known=id_ in removed,
                purgeable=id_ not in before and any(map(self._rules.is_purgeable, told)),
                overwrite=self._rules.overwrite,
            )
            for id_, told in news.items()
        }
        deleted = {id_ for id_, row in after.items() if row and row.status is Status.DELETED}
        unit_of_work.write(
            [fact for fact in facts if after[fact.image_id] or _is_kept_without_row(fact)],
            [row for id_, row in after.items() if row is not None and row != before.get(id_)],
            deleted,
        )
        if new := {id_ for id_ in deleted if id_ not in before or before[id_].status is not Status.DELETED}:
            unit_of_work.forget_personal(new)
        return after

    def _look_at(self, key: str) -> Callable[[], BucketState]:
        """Give a way to look into the bucket; one look, made with the row locked, serves all facts of a batch."""

        @cache
        def head_object() -> BucketState:
            try:
                head = self._storage.head(ORIGINALS_BUCKET, key)
            except ObjectNotFoundError:
                return BucketState(None)
            except InvalidKeyError as fault:
                raise MalformedEvent(f"no object can have the key {key[:100]!r}: {fault}") from fault
            return BucketState(head.object_version, head.content_type, head.file_name)

        return head_object


def _is_kept_without_row(fact: TimelineEvent) -> bool:
    return fact.is_removal or isinstance(fact.payload, RequestEvent | TimelineOnlyEvent)


def _is_refused(fact: TimelineEvent, rows: Rows) -> bool:
    row = rows.get(fact.image_id)
    return row is not None and row.rejected_version == fact.object_version and row.status is Status.DELETED


def _is_asked_for(fact: TimelineEvent, rows: Rows) -> bool:
    """Tell whether an image waits for the very try that was asked for."""
    row, payload = rows.get(fact.image_id), fact.payload
    return (
        isinstance(payload, RetryRequested)
        and row is not None
        and (row.status, row.run_id, row.object_version) == (Status.PENDING, payload.run_id, payload.object_version)
    )


def _find_missed(facts: Iterable[TimelineEvent], rows: Rows, unit_of_work: UnitOfWork) -> list[TimelineEvent]:
    """Find what DURABLE announced and IMMEDIATE did not, where the thumbnailer has not acted either."""
    waiting = {
        fact.counterpart_id: fact
        for fact in facts
        if fact.counterpart_id and needs_processing(rows.get(fact.image_id), fact)
    }
    known = unit_of_work.find_events(waiting)
    return [fact for counterpart_id, fact in waiting.items() if counterpart_id not in known]


def _count(facts: Iterable[TimelineEvent], rows: Rows, caught_up_to: datetime | None) -> None:
    for fact in facts:
        FACTS.labels(fact.type, fact.recorded_by).inc()
        if rows.get(fact.image_id) is None:
            IGNORED.labels("removal of what never was").inc()
    if caught_up_to:
        CAUGHT_UP_TO.set(caught_up_to.timestamp())
