"""The status tracker's handler: facts in, rows and a timeline out, in one transaction for a batch."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from thumbmill.core.contracts.events import Note, Request
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion
from thumbmill.core.contracts.interventions import RetryRequested, VariantsMissing
from thumbmill.core.crashpoints import crash_at
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository, UnitOfWork
from thumbmill.tracker.image_record import ImageRecord, Seen, Status
from thumbmill.tracker.metrics import CAUGHT_UP_TO, CONFLICTS, FACTS
from thumbmill.tracker.projection import awaits_thumbnailer, fold
from thumbmill.tracker.reminder import tell_again
from thumbmill.tracker.republish import announce
from thumbmill.tracker.requests import answer_missing, withdraw
from thumbmill.tracker.retention import Rules
from thumbmill.tracker.timeline import Beat, Mark, TimelineEvent, read
from thumbmill.tracker.watermarks import Watermarks

TRIES = 5  # of a batch that met another writer
NAME = "tracker"  # as the timeline has it

Rows = dict[UUID, ImageRecord | None]


@dataclass(frozen=True)
class Recorded:
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
        hear: Callable[[Beat], None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._watermarks = watermarks
        self._rules = rules or Rules()
        self._allow_unnamed = allow_unnamed  # events that do not name their author are believed
        self._hear = hear

    def handle(self, messages: Sequence[Message], publisher: Publisher) -> None:
        """Record what the messages tell, then do what follows from it.

        Raises NotAnEvent, DependencyAway, and UnstorableError for a value that Postgres refuses.
        """
        told = [thing for message in messages for thing in read(message, allow_unnamed=self._allow_unnamed)]
        facts = [thing for thing in told if isinstance(thing, TimelineEvent)]
        for beat in (thing for thing in told if isinstance(thing, Beat)):
            self._hear(beat)
        with self._watermarks.passing([thing for thing in told if isinstance(thing, Mark)]) as caught_up_to:
            self.follow(self.record(facts, caught_up_to), publisher)
            for fact in facts:
                if isinstance(fact.said, VariantsMissing):
                    answer_missing(fact.said, self, self._repository, self._storage, publisher, by=NAME)

    def follow(self, recorded: Recorded, publisher: Publisher) -> None:
        """Remove what was refused, and announce what the thumbnailer is to look at. Raises DependencyAway."""
        for key, object_version in recorded.refused:
            withdraw(key, object_version, self, self._storage, by=NAME)
        for fact in recorded.missed:
            announce(publisher, fact.body, fact.image_id, fact.type, found_by=fact.recorded_by)
        for row in recorded.again:
            tell_again(row, self, self._storage, publisher, by=NAME)

    @retry(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(TRIES),
        after=lambda _: CONFLICTS.inc(),
        reraise=True,
    )
    def record(self, facts: Sequence[TimelineEvent], caught_up_to: datetime | None = None) -> Recorded:
        """Write facts down with what follows from them for the rows; give what else follows.

        Nothing here depends on whether a fact is new to the timeline, so a batch can be redone at any point.
        """
        with self._repository.transaction() as books:
            rows = self._apply(facts, books) if facts else {}
            missed = _find_missed(facts, rows, books)
            if caught_up_to:
                books.catch_up(caught_up_to)
            if facts:  # a watermark alone, once a second, is nothing to die of
                crash_at("in_transaction")
        if facts:
            crash_at("after_commit")
        _count(facts, rows, caught_up_to)
        refused = {
            (fact.key, fact.object_version) for fact in facts if fact.object_version and _is_refused(fact, rows)
        }
        again = {fact.image_id: rows[fact.image_id] for fact in facts if _is_asked_for(fact, rows)}
        return Recorded(rows, missed, refused, [row for row in again.values() if row])

    def _apply(self, facts: Sequence[TimelineEvent], books: UnitOfWork) -> Rows:
        news: dict[UUID, list[TimelineEvent]] = defaultdict(list)
        for fact in facts:
            news[fact.image_id].append(fact)
        before = books.lock_images(news)
        removed = books.find_removals(
            id_ for id_ in news if id_ not in before or before[id_].object_version is None
        )
        after = {
            id_: fold(
                before.get(id_),
                told,
                self._look_at(told[0].key),
                removal_known=id_ in removed,
                purgeable=id_ not in before and any(map(self._rules.may_be_purged, told)),
                overwrite=self._rules.overwrite,
            )
            for id_, told in news.items()
        }
        deleted = {id_ for id_, row in after.items() if row and row.status is Status.DELETED}
        books.write(
            [fact for fact in facts if after[fact.image_id] or _is_kept_without_row(fact)],
            [row for id_, row in after.items() if row is not None and row != before.get(id_)],
            deleted,
        )
        if new := {id_ for id_ in deleted if id_ not in before or before[id_].status is not Status.DELETED}:
            books.forget_personal(new)
        return after

    def _look_at(self, key: str) -> Callable[[], Seen]:
        """Give a way to look into the bucket; one look, made with the row locked, serves all facts of a batch."""

        @cache
        def look() -> Seen:
            try:
                head = self._storage.head(ORIGINALS_BUCKET, key)
            except ObjectNotFoundError:
                return Seen(None)
            except InvalidKeyError as fault:
                raise MalformedEvent(f"no object can have the key {key[:100]!r}: {fault}") from fault
            return Seen(head.object_version, head.content_type, head.file_name)

        return look


def _is_kept_without_row(fact: TimelineEvent) -> bool:
    return fact.is_removal or isinstance(fact.said, Request | Note)


def _is_refused(fact: TimelineEvent, rows: Rows) -> bool:
    row = rows.get(fact.image_id)
    return row is not None and row.withdrawn == fact.object_version and row.status is Status.DELETED


def _is_asked_for(fact: TimelineEvent, rows: Rows) -> bool:
    """Tell whether an image waits for the very try that was asked for."""
    row, said = rows.get(fact.image_id), fact.said
    return (
        isinstance(said, RetryRequested)
        and row is not None
        and (row.status, row.run_id, row.object_version) == (Status.PENDING, said.run_id, said.object_version)
    )


def _find_missed(facts: Iterable[TimelineEvent], rows: Rows, books: UnitOfWork) -> list[TimelineEvent]:
    """Find what LEDGER announced and INSTANT did not, where the thumbnailer has not acted either."""
    waiting = {fact.twin: fact for fact in facts if fact.twin and awaits_thumbnailer(rows.get(fact.image_id), fact)}
    known = books.find_events(waiting)
    return [fact for twin, fact in waiting.items() if twin not in known]


def _count(facts: Iterable[TimelineEvent], rows: Rows, caught_up_to: datetime | None) -> None:
    for fact in facts:
        FACTS.labels(fact.type, fact.recorded_by).inc()
        if rows.get(fact.image_id) is None:
            IGNORED.labels("removal of what never was").inc()
    if caught_up_to:
        CAUGHT_UP_TO.set(caught_up_to.timestamp())
