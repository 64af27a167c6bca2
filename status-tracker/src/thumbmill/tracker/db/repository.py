"""Images and their timelines in Postgres."""

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from pydantic_core import to_json

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.tenants import tenant_of
from thumbmill.tracker.changes import CLEARED_DATA, find_change
from thumbmill.tracker.db.connection import ConflictError, Connection, connect, execute, translate_errors
from thumbmill.tracker.image_record import MIN_DATETIME, ImageRecord
from thumbmill.tracker.timeline import RETAINED_DATA, TimelineEvent

_ROW = tuple(field.name for field in fields(ImageRecord))
_values_of = attrgetter(*_ROW)
_NUL = re.compile(r"(\\\\)|\\u0000")  # an escaped backslash may precede a literal u0000


class Repository:
    """A connection for one thread; it is opened when needed, and again after it was lost.

    Every method raises DependencyUnavailable, DependencyRejected, ConflictError or InvalidValueError.
    """

    def __init__(self, url: SecretStr, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator["UnitOfWork"]:
        """Open a transaction; it is committed if the block succeeds, and rolled back otherwise."""
        with translate_errors():
            connection = self._open()
            with connection.transaction():
                yield UnitOfWork(connection)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Yield the connection for single statements."""
        with translate_errors():
            yield self._open()

    @contextmanager
    def advisory_lock(self, number: int) -> Iterator[bool]:
        """Take a lock unless another connection has it; yield whether it was taken. It ends with the connection."""
        with self.connected() as connection:
            found = execute(connection, "try_lock", number=number).fetchone()
        locked = bool(found and found["locked"])
        try:
            yield locked
        finally:
            if locked and not connection.closed:
                with self.connected() as same:
                    execute(same, "unlock", number=number)

    def claim_overdue(self, age: timedelta, limit: int) -> list[ImageRecord]:
        """Claim images that have waited for the thumbnailer since ``age``, for as long again."""
        with translate_errors():
            records = execute(self._open(), "claim_overdue", age=age, limit=limit)
            return [to_image_record(record) for record in records]

    def claim_expired(self, age: timedelta, limit: int) -> list[ImageRecord]:
        """Claim images whose form expired unused, for ``age``."""
        with translate_errors():
            records = execute(self._open(), "claim_expired", age=age, limit=limit)
            return [to_image_record(record) for record in records]

    def purge_deleted(self, age: timedelta, form_age: timedelta, limit: int) -> int:
        """Purge rows that have been DELETED for ``age``, with their timelines, and return their number.

        A row whose presigned form could still store a file stays until the form has been expired for ``form_age``.
        """
        return self._purge("deleted_images", age=age, form_age=form_age, limit=limit)

    def purge_expired(self, age: timedelta, limit: int) -> int:
        """Purge rows whose form expired ``age`` ago without an upload, and return their number."""
        return self._purge("expired_images", age=age, limit=limit)

    def purge_stray_events(
        self, age: timedelta, after: tuple[datetime, UUID], limit: int
    ) -> tuple[int, tuple[datetime, UUID] | None]:
        """Purge events without an image. Return how many, and how far was checked; None: to the end."""
        with translate_errors():
            found = execute(
                self._open(), "purge_stray_events", age=age, recorded=after[0], id=after[1], limit=limit
            ).fetchone()
        return (int(found["purged"]), (found["recorded"], found["id"])) if found else (0, None)

    def prune_changes(self, age: timedelta, limit: int) -> int:
        """Delete changes that are older than ``age`` from the beginning of the feed, and return their number."""
        with self.connected() as connection, connection.transaction():
            moved = execute(connection, "move_oldest", age=age, limit=limit).fetchone()
            return execute(connection, "prune_changes", oldest=moved["oldest"]).rowcount if moved else 0

    def make_event_partitions(self, step: str, ahead: timedelta) -> int:
        """Make the timeline's partitions of a ``day`` or ``month`` each for the time ahead; return how many."""
        with self.connected() as connection:
            found = execute(connection, "make_event_partitions", step=step, ahead=ahead).fetchone()
        return int(found["made"]) if found else 0

    def drop_event_partitions(self, age: timedelta) -> int:
        """Drop the timeline's partitions of which all events are older than ``age``; return how many."""
        with self.connected() as connection:
            found = execute(connection, "drop_event_partitions", age=age).fetchone()
        return int(found["dropped"]) if found else 0

    def renew_feed(self) -> tuple[str, int]:
        """Give the feed a new epoch. Return it, and the seq of the last change."""
        with self.connected() as connection:
            found = execute(connection, "renew_feed").fetchone()
        if found is None:
            raise LookupError("the table feed has lost its row: insert it as sql/schema.sql does")
        return found["epoch"], found["last"]

    def ping(self) -> None:
        """Execute a statement that needs no table."""
        with translate_errors():
            self._open().execute("SELECT 1")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def _purge(self, statement: str, **values: Any) -> int:
        with self.connected() as connection, connection.transaction():
            ids = [record["id"] for record in execute(connection, statement, **values)]
            if ids:
                execute(connection, "purge_images", ids=ids, cleared=_json(CLEARED_DATA))
        return len(ids)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url.get_secret_value(), self._name)
        return self._connection


class UnitOfWork:
    """An open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._locked: dict[UUID, ImageRecord] = {}

    def lock_images(self, ids: Iterable[UUID]) -> dict[UUID, ImageRecord]:
        """Return the rows that exist, and lock them against other writers."""
        found = execute(self._connection, "lock_images", ids=list(ids))
        locked = {record["id"]: to_image_record(record) for record in found}
        self._locked |= locked
        return locked

    def find_removals(self, ids: Iterable[UUID]) -> set[UUID]:
        """Return which of these images have a removal in their timeline."""
        return self._find("find_removals", ids)

    def find_events(self, ids: Iterable[UUID], since: datetime = MIN_DATETIME) -> set[UUID]:
        """Return which of these events are in the timeline and occurred after this time."""
        return self._find("find_events", ids, since=since)

    def forget_personal(self, ids: Iterable[UUID]) -> None:
        """Remove the file's name and what was found in the file from these images' timelines and changes."""
        execute(
            self._connection,
            "forget_personal",
            ids=list(ids),
            retained=sorted(RETAINED_DATA),
            cleared=_json(CLEARED_DATA),
        )

    def write(
        self, events: Iterable[TimelineEvent], rows: Iterable[ImageRecord], deleted: Container[UUID] = ()
    ) -> None:
        """Add events to the timeline unless it has them; write rows that are new (version 0) or changed.

        A row that is shown differently than the locked one becomes a change in the feed, by the same statement.
        Of an image that is ``deleted`` only the retained data is written. Raise ConflictError if another writer
        changed one of the rows since it was read.
        """
        # An event that came twice, once; all in one order for every writer, so that no two can wait for each other.
        first = {event.id: event for event in reversed(list(events))}
        ordered = sorted(first.values(), key=lambda event: event.id)
        event_records = [_event_record(event, deleted=event.image_id in deleted) for event in ordered]
        ordered_rows = sorted(rows, key=lambda row: row.id)
        image_records = [_image_record(row) for row in ordered_rows]
        found = ((row.id, find_change(self._locked.get(row.id), row)) for row in ordered_rows)
        changes = {image_id: change for image_id, change in found if change}
        result = execute(
            self._connection,
            "write",
            events=_json(event_records),
            images=_json(image_records),
            changed=list(changes),
            types=[change.value for change in changes.values()],
        ).fetchone()
        if result is None or result["written"] != len(image_records):
            raise ConflictError(f"{result} of {len(image_records)} rows")

    def catch_up(self, time: datetime) -> None:
        """Record that every event published before this time has been seen."""
        execute(self._connection, "catch_up", time=time)

    def _find(self, statement: str, ids: Iterable[UUID], **values: Any) -> set[UUID]:
        wanted = list(ids)
        if not wanted:
            return set()
        return {record["id"] for record in execute(self._connection, statement, ids=wanted, **values)}


def to_image_record(record: dict[str, Any]) -> ImageRecord:
    """Return the record of a row with all of its columns."""
    rejected, object_version = record["rejected_version"], record["object_version"]
    values = {
        **record,
        "status": Status(record["status"]),
        "object_version": ObjectVersion.parse(object_version) if object_version else None,
        "error": Failure.model_validate(record["error"]) if record["error"] else None,
        "variants": tuple(Variant.model_validate(variant) for variant in record["variants"]),
        "missing": tuple(record["missing"]),
        "rejected_version": ObjectVersion.parse(rejected) if rejected else None,
        "details": ImageDetails.model_validate(record["details"]) if record["details"] else None,
    }
    return ImageRecord(**values)


def _image_record(row: ImageRecord) -> dict[str, Any]:
    values = dict(zip(_ROW, _values_of(row), strict=True))
    values["object_version"] = str(row.object_version) if row.object_version else None
    values["rejected_version"] = str(row.rejected_version) if row.rejected_version else None
    if row.object_version:
        values["size"] = row.object_version.size
    if row.version == 0:  # never written again: the key of a deleted image may be forgotten
        values["tenant"] = tenant_of(row.key)
    return values


def _event_record(event: TimelineEvent, *, deleted: bool) -> dict[str, Any]:
    return {
        "id": event.id,
        "image_id": event.image_id,
        "type": event.type,
        "object_version": str(event.object_version) if event.object_version else None,
        "occurred": event.occurred,
        "recorded_by": event.recorded_by,
        "data": event.retained_data if deleted else event.data,
    }


def _json(records: object) -> str:
    """Return rows as one parameter, without NUL: Postgres rejects it, and a file name may contain it."""
    text = to_json(records).decode()
    return _NUL.sub(lambda found: found[1] or "\\ufffd", text) if "\\u0000" in text else text
