"""Events about no single image: heartbeats of workers, orders of operators, and the tracker's watermarks."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.image_details import SanitizedText

MAX_REDRIVEN_IDS = 500  # in one order
REDRIVES_PER_SECOND = 50  # at most


class WorkerAlive(FrozenModel):
    """A thumbnailer is running, or has stopped. The tracker keeps the latest one of each process."""

    type: Literal[EventType.WORKER_ALIVE] = EventType.WORKER_ALIVE
    worker: UUID  # chosen by the process at its start
    host: SanitizedText
    process_id: int
    version: SanitizedText
    started_at: datetime
    interval_seconds: float = Field(gt=0)  # until its next heartbeat
    decoders: int  # child processes for ordinary images
    slow_decoders: int
    in_flight: int  # images
    presets: SanitizedText  # their version, as in the keys of variants
    stopped: bool = False  # the last heartbeat of a process that stops cleanly


class _Order(FrozenModel):
    """What an operator asks of the tracker; the id of the CloudEvent is the id of the order."""

    operator: SanitizedText = Field(min_length=1)


class ReconciliationRequested(_Order):
    """An operator asks to compare the buckets with the rows now."""

    type: Literal[EventType.RECONCILIATION_REQUESTED] = EventType.RECONCILIATION_REQUESTED
    dry_run: bool = False


class RedriveRequested(_Order):
    """An operator asks to process the FAILED images that match every filter again; an empty filter matches all."""

    type: Literal[EventType.REDRIVE_REQUESTED] = EventType.REDRIVE_REQUESTED
    codes: list[ErrorCode] = Field(default_factory=list)
    ids: list[UUID] = Field(default_factory=list, max_length=MAX_REDRIVEN_IDS)
    since: datetime | None = None  # when the images failed
    until: datetime  # what fails later was not in the preview
    force: bool = False  # also codes that are not retryable


class Watermark(FrozenModel):
    """A message from the tracker to its own queue; it arrives after everything published before its ``time``."""

    type: Literal[EventType.WATERMARK] = EventType.WATERMARK


Order = ReconciliationRequested | RedriveRequested
SystemEvent = WorkerAlive | Order | Watermark
