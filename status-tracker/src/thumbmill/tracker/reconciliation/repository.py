"""What reconciliation asks of Postgres: rows in the order of the buckets' listings, claims, and its own place."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository, to_image_record
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.reconciliation.drift import ExpectedObject

ROWS = 2000  # at once; twice a page of objects, since some rows may have none
_LOCK = 0x7468756D63  # any number that nobody else takes
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a pass has come: everything up to here, in the order of keys' bytes, has been compared."""

    bucket: str = ORIGINALS_BUCKET
    last_key: str = ""
    last_id: UUID | None = None  # of rows, in the bucket of variants
    objects: int = 0  # seen in this pass
    step: int = 0

    @property
    def is_start(self) -> bool:
        return (self.bucket, self.last_key) == (ORIGINALS_BUCKET, "")


class ReconciliationRepository:
    """Belongs to one thread, as its repository does; raises what that raises."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Be the only one to reconcile, as far as the answer is yes; it ends with the connection, too."""
        with self._repository.connected() as connection:
            found = execute(connection, "try_lock", number=_LOCK).fetchone()
        locked = bool(found and found["locked"])
        try:
            yield locked
        finally:
            if locked and not connection.closed:
                with self._repository.connected() as still:
                    execute(still, "unlock", number=_LOCK)

    def live(self, after: str, upto: str | None) -> list[ExpectedObject]:
        """Read rows whose object should be there, by key, from behind ``after`` up to ``upto``; at most ROWS."""
        with self._repository.connected() as connection:
            found = execute(connection, "live_images", after=after, upto=upto, limit=ROWS)
            return [
                ExpectedObject(row["id"], row["key"], ObjectVersion.parse(row["object_version"])) for row in found
            ]

    def done(self, after: UUID | None, upto: UUID | None) -> list[ExpectedObject]:
        """Read rows whose variants should be there, by id, from behind ``after`` up to ``upto``; at most ROWS."""
        with self._repository.connected() as connection:
            found = execute(connection, "done_images", after=after or _FIRST, upto=upto, limit=ROWS)
            return [
                ExpectedObject(
                    row["id"], row["key"], ObjectVersion.parse(row["object_version"]), tuple(row["variants"])
                )
                for row in found
            ]

    def find(self, ids: Iterable[UUID]) -> dict[UUID, ImageRecord]:
        """Read rows as they are now."""
        with self._repository.connected() as connection:
            return {row["id"]: to_image_record(row) for row in execute(connection, "find_images", ids=list(ids))}

    def claim(self, image_id: UUID, age: timedelta) -> bool:
        """Say whether an image may be announced again; once in ``age`` it may."""
        with self._repository.connected() as connection:
            return execute(connection, "claim", id=image_id, age=age).fetchone() is not None

    def claim_stuck(self, age: timedelta, limit: int, *, idle: bool, keep: bool = True) -> list[ImageRecord]:
        """Take images that nobody works on, and keep them for ``age``, or not.

        ``idle``: nothing waits in the image queue.
        """
        with (
            self._repository.connected() as connection,
            connection.transaction(force_rollback=not keep),
        ):
            found = execute(connection, "claim_stuck", age=age, limit=limit, idle=idle)
            return [to_image_record(record) for record in found]

    def caught_up_to(self) -> datetime:
        """Read the tracker's watermark."""
        with self._repository.connected() as connection:
            found = execute(connection, "read_progress").fetchone()
        if found is None:
            raise LookupError("the table progress has lost its row")
        time: datetime = found["caught_up_to"]
        return time

    def cursor(self, interval_seconds: float) -> tuple[Cursor, float]:
        """Read how far the running pass is, and in how many seconds its next step is due.

        ``rest_seconds``: between two passes.
        """
        with self._repository.connected() as connection:
            found = execute(connection, "find_position").fetchone()
        if found is None:
            raise LookupError("the table reconciliation has lost its row")
        due_in, rested = float(found.pop("due_in")), found.pop("rested")
        cursor = Cursor(**found)
        if cursor.is_start and rested is not None:
            due_in = max(due_in, interval_seconds - rested)
        return cursor, due_in

    def save(self, cursor: Cursor, pause: timedelta, *, began: bool, ended: bool) -> bool:
        """Note that a step is done and when the next is due; False if somebody else had taken that step."""
        values = {name: getattr(cursor, name) for name in ("bucket", "last_key", "last_id", "objects", "step")}
        with self._repository.connected() as connection:
            saved = execute(connection, "save_position", **values, pause=pause, began=began, ended=ended)
            return saved.fetchone() is not None
