"""Bucket notifications of MinIO, parsed."""

import uuid
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote_plus

from pydantic import Field, ValidationError

from thumbmill.core.contracts.base import FrozenModel
from thumbmill.core.contracts.batch import BATCH_METADATA, valid_batch
from thumbmill.core.contracts.identity import (
    HEARTBEAT_KEY,
    ORIGINALS_BUCKET,
    ObjectVersion,
    event_id,
    image_id_of,
    is_folder_marker,
    normalize_etag,
)
from thumbmill.core.contracts.traceparent import is_traceparent
from thumbmill.core.errors import MalformedEvent, one_line_error
from thumbmill.core.text import sanitize_file_name

_HANDLED_EVENTS = frozenset(
    f"Object{name}"
    for name in (
        "Created:Put",
        "Created:Post",
        "Created:Copy",
        "Created:CompleteMultipartUpload",
        "Removed:Delete",
        "Removed:DeleteMarkerCreated",
    )
)
# Event ids contain the names that version 0.1 gave the targets, so that ids of stored events stay valid.
_TARGETS_IN_IDS = {"immediate": "instant", "durable": "ledger"}

# Object metadata that the gateway writes; S3 allows only ASCII, so the file name is percent-encoded.
FILE_NAME_METADATA = "file-name"
TRACEPARENT_METADATA = "traceparent"


class StorageEvent(FrozenModel):
    """One record of a bucket notification.

    ``object_version`` is None for a removal, and for a folder marker that replaced an object. ``sequencer``
    identifies the event; events cannot be ordered by it, since MinIO takes it before it locks the object.
    """

    bucket: str
    key: str
    name: str  # without MinIO's prefix "s3:", as S3 has it: ObjectCreated:Put
    sequencer: str
    object_version: ObjectVersion | None
    content_type: str | None
    file_name: str | None
    traceparent: str | None
    occurred: datetime
    batch: str | None = None

    @property
    def image_id(self) -> uuid.UUID:
        return image_id_of(self.key)

    @property
    def is_removal(self) -> bool:
        return self.object_version is None

    @property
    def is_about_original(self) -> bool:
        """Whether it is an upload or a removal of an original."""
        return self.bucket == ORIGINALS_BUCKET and self.name in _HANDLED_EVENTS and self.key != HEARTBEAT_KEY

    @property
    def is_heartbeat(self) -> bool:
        """Whether it is about an upload of the tracker's heartbeat object."""
        return (self.bucket, self.key) == (ORIGINALS_BUCKET, HEARTBEAT_KEY) and self.name == "ObjectCreated:Put"

    def identity(self, target: str) -> uuid.UUID:
        """Return the id of this event as announced by one notification target (``immediate`` or ``durable``)."""
        return event_id(_TARGETS_IN_IDS.get(target, target), self.name, self.bucket, self.key, self.sequencer)


class _Object(FrozenModel):
    key: str
    size: int = Field(0, ge=0, lt=2**63)  # absent for an empty object
    e_tag: str = Field("", alias="eTag")
    sequencer: str
    content_type: str | None = Field(None, alias="contentType")
    user_metadata: dict[str, str] = Field(default_factory=dict, alias="userMetadata")


class _Bucket(FrozenModel):
    name: str


class _S3(FrozenModel):
    bucket: _Bucket
    object: _Object


class _Record(FrozenModel):
    event_name: str = Field(alias="eventName")
    s3: _S3


class _Notification(FrozenModel):
    records: Annotated[list[_Record], Field(alias="Records", min_length=1)]


def parse_storage_events(body: bytes) -> list[StorageEvent]:
    """Parse a bucket notification, which has one record in MinIO. Raise MalformedEvent."""
    try:
        notification = _Notification.model_validate_json(body)
        return [_from_record(record) for record in notification.records]
    except (ValidationError, ValueError, OverflowError, OSError) as error:  # the last two: a date beyond time_t
        raise MalformedEvent(one_line_error(error)) from error


def _from_record(record: _Record) -> StorageEvent:
    object_ = record.s3.object
    nanoseconds = int(object_.sequencer, 16)  # the object's modification time
    name = record.event_name.removeprefix("s3:")
    metadata = {k.lower().removeprefix("x-amz-meta-"): v for k, v in object_.user_metadata.items()}
    object_version = ObjectVersion(normalize_etag(object_.e_tag), object_.size, nanoseconds // 1_000_000_000)
    key = unquote_plus(object_.key, errors="strict")
    return StorageEvent(
        bucket=record.s3.bucket.name,
        key=key,
        name=name,
        sequencer=object_.sequencer,
        object_version=None
        if name.startswith("ObjectRemoved:") or is_folder_marker(key, object_.size)
        else object_version,
        content_type=object_.content_type or metadata.get("content-type"),
        file_name=read_file_name(metadata),
        traceparent=trace if is_traceparent(trace := metadata.get(TRACEPARENT_METADATA, "")) else None,
        occurred=datetime.fromtimestamp(nanoseconds / 1e9, UTC),
        batch=valid_batch(metadata.get(BATCH_METADATA)),
    )


def read_file_name(metadata: dict[str, str]) -> str | None:
    """Return the file name in an object's metadata, sanitized: any uploader may set it. Keys are in lower case."""
    quoted = metadata.get(FILE_NAME_METADATA)
    return sanitize_file_name(unquote_plus(quoted, errors="replace")) if quoted else None
