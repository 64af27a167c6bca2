"""The status tracker's handler: facts in, rows and a timeline out, in one transaction for a batch."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from pipeline.crashpoints import crash_at
from pipeline.identity import ORIGINALS
from pipeline.messages import Message
from pipeline.metrics import IGNORED
from pipeline.outcomes import NotAnEvent
from pipeline.publisher import Publisher
from pipeline.storage import Storage
from pipeline.storage_faults import BadKeyError, NotThereError
from status_tracker.database import ConflictError
from status_tracker.facts import Fact, Mark, read
from status_tracker.metrics import CAUGHT_UP_TO, CONFLICTS, FACTS
from status_tracker.recovery import announce
from status_tracker.repository import Books, Repository
from status_tracker.states import Row, Seen, awaits_thumbnailer, fold
from status_tracker.watermarks import Watermarks

TRIES = 5  # of a batch that met another writer


class Tracker:
    """Belongs to one thread, as its repository does."""

    def __init__(
        self, repository: Repository, storage: Storage, watermarks: Watermarks, *, allow_unnamed: bool = False
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._watermarks = watermarks
        self._allow_unnamed = allow_unnamed  # events that do not name their author are believed

    def handle(self, messages: Sequence[Message], publisher: Publisher) -> None:
        """Record what the messages tell, then announce again what the thumbnailer was never told.

        Raises NotAnEvent, DependencyAway, and UnstorableError for a value that Postgres refuses.
        """
        told = [thing for message in messages for thing in read(message, allow_unnamed=self._allow_unnamed)]
        facts = [thing for thing in told if isinstance(thing, Fact)]
        with self._watermarks.passing([thing for thing in told if isinstance(thing, Mark)]) as caught_up_to:
            for fact in self.record(facts, caught_up_to):
                announce(publisher, fact.body, fact.image_id, fact.type, found_by=fact.recorded_by)

    @retry(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(TRIES),
        after=lambda _: CONFLICTS.inc(),
        reraise=True,
    )
    def record(self, facts: Sequence[Fact], caught_up_to: datetime | None = None) -> list[Fact]:
        """Write facts down with what follows from them; give those that the thumbnailer was never told.

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
        return missed

    def _apply(self, facts: Sequence[Fact], books: Books) -> dict[UUID, Row | None]:
        news: dict[UUID, list[Fact]] = defaultdict(list)
        for fact in facts:
            news[fact.image_id].append(fact)
        before = books.lock_images(news)
        removed = books.find_removals(id_ for id_ in news if id_ not in before or before[id_].source is None)
        after = {
            id_: fold(before.get(id_), told, self._look_at(told[0].key), removal_known=id_ in removed)
            for id_, told in news.items()
        }
        books.write(facts, [row for id_, row in after.items() if row is not None and row != before.get(id_)])
        return after

    def _look_at(self, key: str) -> Callable[[], Seen]:
        """Give a way to look into the bucket; one look, made with the row locked, serves all facts of a batch."""

        @cache
        def look() -> Seen:
            try:
                head = self._storage.head(ORIGINALS, key)
            except NotThereError:
                return Seen(None)
            except BadKeyError as fault:
                raise NotAnEvent(f"no object can have the key {key[:100]!r}: {fault}") from fault
            return Seen(head.source, head.content_type, head.file_name)

        return look


def _find_missed(facts: Iterable[Fact], rows: dict[UUID, Row | None], books: Books) -> list[Fact]:
    """Find what LEDGER announced and INSTANT did not, where the thumbnailer has not acted either."""
    waiting = {fact.twin: fact for fact in facts if fact.twin and awaits_thumbnailer(rows.get(fact.image_id), fact)}
    known = books.find_events(waiting)
    return [fact for twin, fact in waiting.items() if twin not in known]


def _count(facts: Iterable[Fact], rows: dict[UUID, Row | None], caught_up_to: datetime | None) -> None:
    for fact in facts:
        FACTS.labels(fact.type, fact.recorded_by).inc()
        if rows.get(fact.image_id) is None:
            IGNORED.labels("removal of what never was").inc()
    if caught_up_to:
        CAUGHT_UP_TO.set(caught_up_to.timestamp())
