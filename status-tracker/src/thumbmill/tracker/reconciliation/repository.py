"""What reconciliation keeps in Postgres: its cursor, claims, and rows in the order of the buckets' listings."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository, UnitOfWork, to_image_record
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.reconciliation.drift import ExpectedObject

ROWS = 2000  # at once; twice a page of objects, since some rows may have none
_LOCK = 0x7468756D63  # an arbitrary number that nothing else uses
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a pass has come: everything up to here, in the order of the keys' bytes, has been compared."""

    bucket: str = ORIGINALS_BUCKET
    last_key: str = ""
    last_id: UUID | None = None  # of rows, in the bucket of variants
    objects: int = 0  # compared in this pass
    step: int = 0

    @property
    def is_start(self) -> bool:
        return (self.bucket, self.last_key) == (ORIGINALS_BUCKET, "")

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"last_id": str(self.last_id) if self.last_id else None}

    @classmethod
    def from_json(cls, json: dict[str, Any]) -> "Cursor":
        """Undo ``to_json``; an empty object is the start."""
        return cls(**json | {"last_id": UUID(json["last_id"]) if json.get("last_id") else None})


class ReconciliationRepository:
    """Belongs to one thread, as its repository does. Every method raises what the repository raises."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def lock(self) -> AbstractContextManager[bool]:
        """Become the only one that reconciles, if the value is True; the lock ends with the connection, too."""
        return self._repository.advisory_lock(_LOCK)

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """Open a unit of work on the images and their timelines."""
        with self._repository.transaction() as unit_of_work:
            yield unit_of_work

    def list_originals(self, after: str, upto: str | None) -> list[ExpectedObject]:
        """Read rows whose original must exist, by key, after ``after`` up to ``upto``; at most ROWS."""
        with self._repository.connected() as connection:
            found = execute(connection, "expected_originals", after=after, upto=upto, limit=ROWS)
            return [
                ExpectedObject(row["id"], row["key"], ObjectVersion.parse(row["object_version"])) for row in found
            ]

    def list_variants(self, after: UUID | None, upto: UUID | None) -> list[ExpectedObject]:
        """Read rows whose variants must exist, by ID, after ``after`` up to ``upto``; at most ROWS."""
        with self._repository.connected() as connection:
            found = execute(connection, "expected_variants", after=after or _FIRST, upto=upto, limit=ROWS)
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
        """Return whether an image's event may be republished: once in ``age``."""
        with self._repository.connected() as connection:
            return execute(connection, "claim", id=image_id, age=age).fetchone() is not None

    def claim_stuck(
        self, age: timedelta, limit: int, *, idle: bool, delayed: bool, keep: bool = True
    ) -> list[ImageRecord]:
        """Claim images that make no progress, for ``age``; without ``keep`` only return them.

        ``idle``: the image queue is empty. ``delayed``: messages wait in its delay queues.
        """
        with (
            self._repository.connected() as connection,
            connection.transaction(force_rollback=not keep),
        ):
            found = execute(connection, "claim_stuck", age=age, limit=limit, idle=idle, delayed=delayed)
            return [to_image_record(record) for record in found]

    def caught_up_to(self) -> datetime:
        """Read the tracker's watermark."""
        with self._repository.connected() as connection:
            found = execute(connection, "read_progress").fetchone()
        if found is None:
            raise LookupError("the table progress has lost its row: insert it as sql/schema.sql does")
        time: datetime = found["caught_up_to"]
        return time

    def read_cursor(self, interval_seconds: float) -> tuple[Cursor, float]:
        """Return how far the current pass is, and in how many seconds its next batch is due.

        ``interval_seconds``: between two passes.
        """
        with self._repository.connected() as connection:
            found = execute(connection, "read_cursor").fetchone()
        if found is None:
            raise LookupError("the table reconciliation has lost its row: insert it as sql/schema.sql does")
        due_in, since_last_pass = float(found.pop("due_in")), found.pop("since_last_pass")
        cursor = Cursor(**found)
        if cursor.is_start and since_last_pass is not None:
            due_in = max(due_in, interval_seconds - since_last_pass)
        return cursor, due_in

    def save_cursor(self, cursor: Cursor, pause: timedelta, *, began: bool, ended: bool) -> bool:
        """Save that a batch is done and when the next is due. Return False if another tracker did that batch."""
        with self._repository.connected() as connection:
            saved = execute(connection, "save_cursor", **asdict(cursor), pause=pause, began=began, ended=ended)
            return saved.fetchone() is not None
