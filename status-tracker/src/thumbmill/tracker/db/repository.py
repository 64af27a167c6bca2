"""What the tracker keeps in Postgres, in the words of ``states`` and ``facts``."""

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from pydantic_core import to_json

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.db.connection import ConflictError, Connection, connect, execute, translated
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.timeline import RETAINED_DATA, TimelineEvent

_ROW = tuple(field.name for field in fields(ImageRecord))
_NUL = re.compile(r"(\\\\)|\\u0000")  # an escaped backslash may stand in front of an innocent u0000


class Repository:
    """A connection for one thread; it is opened when needed and again when it was lost.

    Every method raises DependencyAway, Refused, ConflictError or UnstorableError.
    """

    def __init__(self, url: SecretStr, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator["UnitOfWork"]:
        """Open the books; what was written stays if the block ends well, and none of it otherwise."""
        with translated():
            connection = self._open()
            with connection.transaction():
                yield UnitOfWork(connection)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Lend the connection for single statements."""
        with translated():
            yield self._open()

    def claim_overdue(self, age: timedelta, limit: int) -> list[ImageRecord]:
        """Take images that wait for the thumbnailer since ``age``, and leave them alone for as long again."""
        with translated():
            return [
                to_image_record(record) for record in execute(self._open(), "claim_overdue", age=age, limit=limit)
            ]

    def purge(self, statement: str, limit: int, **ages: timedelta) -> int:
        """Remove a chunk of rows with their timelines, by one of the statements that do, and give their number."""
        with translated():
            found = execute(self._open(), statement, limit=limit, **ages).fetchone()
        return int(found["purged"]) if found else 0

    def purge_stray_events(
        self, age: timedelta, after: tuple[datetime, UUID], limit: int
    ) -> tuple[int, tuple[datetime, UUID] | None]:
        """Remove facts without an image, and say how many and how far was looked; None: to the end."""
        with translated():
            found = execute(
                self._open(), "purge_stray_events", age=age, recorded=after[0], id=after[1], limit=limit
            ).fetchone()
        return (int(found["purged"]), (found["recorded"], found["id"])) if found else (0, None)

    def ping(self) -> None:
        """Ask Postgres for an answer."""
        with translated():
            self._open().execute("SELECT 1")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url.get_secret_value(), self._name)
        return self._connection


class UnitOfWork:
    """An open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock_images(self, ids: Iterable[UUID]) -> dict[UUID, ImageRecord]:
        """Read the rows that exist, and keep others from writing them."""
        found = execute(self._connection, "lock_images", ids=list(ids))
        return {record["id"]: to_image_record(record) for record in found}

    def find_removals(self, ids: Iterable[UUID]) -> set[UUID]:
        """Say which of these images a removal was told of."""
        return self._find("find_removals", ids)

    def find_events(self, ids: Iterable[UUID]) -> set[UUID]:
        """Say which of these events are in the timeline."""
        return self._find("find_events", ids)

    def forget_personal(self, ids: Iterable[UUID]) -> None:
        """Take from these images' timelines what tells of the file, its name and what was found in it."""
        execute(self._connection, "forget_personal", ids=list(ids), lasting=sorted(RETAINED_DATA))

    def write(
        self, facts: Iterable[TimelineEvent], rows: Iterable[ImageRecord], deleted: Container[UUID] = ()
    ) -> None:
        """Add facts to the timeline where it does not know them; write rows that are new (version 0) or changed.

        Of an image that is ``deleted`` only what may last is written. Raises ConflictError if somebody else wrote
        one of the rows since it was read.
        """
        # In one order for every writer, so that no two can wait for each other.
        ordered = sorted(facts, key=lambda fact: fact.id)
        events = [_event_record(fact, deleted=fact.image_id in deleted) for fact in ordered]
        images = [_record(row) for row in sorted(rows, key=lambda row: row.id)]
        done = execute(self._connection, "write", events=_json(events), images=_json(images)).fetchone()
        if done is None or done["written"] != len(images):
            raise ConflictError(f"{done} of {len(images)} rows")

    def _find(self, statement: str, ids: Iterable[UUID]) -> set[UUID]:
        wanted = list(ids)
        return {record["id"] for record in execute(self._connection, statement, ids=wanted)} if wanted else set()

    def catch_up(self, time: datetime) -> None:
        """Note that every fact told before this time is in."""
        execute(self._connection, "catch_up", time=time)


def to_image_record(record: dict[str, Any]) -> ImageRecord:
    """Make a row of what a statement gave that names all of its columns."""
    values = {
        **record,
        "status": Status(record["status"]),
        "object_version": ObjectVersion.parse(record["object_version"]) if record["object_version"] else None,
        "error": Failure.model_validate(record["error"]) if record["error"] else None,
        "variants": tuple(Variant.model_validate(variant) for variant in record["variants"]),
        "missing": tuple(record["missing"]),
        "rejected_version": ObjectVersion.parse(record["rejected_version"]) if record["rejected_version"] else None,
        "details": ImageDetails.model_validate(record["details"]) if record["details"] else None,
    }
    return ImageRecord(**values)


def _record(row: ImageRecord) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _ROW}
    object_version = (
        {"object_version": str(row.object_version), "size": row.object_version.size}
        if row.object_version
        else {"object_version": None}
    )
    return (
        values | object_version | {"rejected_version": str(row.rejected_version) if row.rejected_version else None}
    )


def _event_record(fact: TimelineEvent, *, deleted: bool) -> dict[str, Any]:
    return {
        "id": fact.id,
        "image_id": fact.image_id,
        "type": fact.type,
        "object_version": str(fact.object_version) if fact.object_version else None,
        "occurred": fact.occurred,
        "recorded_by": fact.recorded_by,
        "data": fact.retained_data if deleted else fact.data,
    }


def _json(records: list[dict[str, Any]]) -> str:
    """Write rows as one parameter. Postgres takes no NUL, which a file name or a decoder's words may hold."""
    text = to_json(records).decode()
    return _NUL.sub(lambda found: found[1] or "\\ufffd", text) if "\\u0000" in text else text
