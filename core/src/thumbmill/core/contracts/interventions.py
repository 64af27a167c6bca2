"""Events about requests and interventions: retries, dead letters, repairs and rejected objects.

None of them is a state of an image. They appear in its timeline, and other events report what they caused.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import SanitizedText


class _OperatorEvent(FrozenModel):
    """An operator's action on a dead letter about an image."""

    key: str
    operator: SanitizedText
    queue: str  # the work queue that the message came from: image_queue or status_tracker
    code: str  # why the message was dead-lettered
    run_id: str  # the time; events caused by a redriven message belong to this run


class Redriven(_OperatorEvent):
    """A dead letter was sent back to its queue."""

    type: Literal[EventType.REDRIVEN] = EventType.REDRIVEN


class Dropped(_OperatorEvent):
    """A dead letter was deleted; its image keeps its state."""

    type: Literal[EventType.DROPPED] = EventType.DROPPED


class RetryRequested(FrozenModel):
    """A client or an operator requested another run for a FAILED image.

    It names the failed run, so any number of requests for the same failure cause one run.
    """

    type: Literal[EventType.RETRY_REQUESTED] = EventType.RETRY_REQUESTED
    key: str
    object_version: ObjectVersion
    after: str  # the run that failed; empty: the first
    run_id: str  # of the requested run; sorts after the failed one
    operator: SanitizedText | None = None  # None: a client of the API
    forced: bool = False  # also for codes that are not retryable: limits or the program may have changed since


class VariantsMissing(FrozenModel):
    """The gateway did not find an object in the bucket that the image's row lists."""

    type: Literal[EventType.VARIANTS_MISSING] = EventType.VARIANTS_MISSING
    key: str
    object_version: ObjectVersion
    missing: list[str] = Field(default_factory=list, max_length=20)  # keys of variants; empty: the original
    run_id: str  # the time; variants that are made again belong to this run


class DriftRepaired(FrozenModel):
    """Reconciliation found a difference between this image's row and the buckets, and repaired it."""

    type: Literal[EventType.DRIFT_REPAIRED] = EventType.DRIFT_REPAIRED
    key: str
    object_version: ObjectVersion | None = None  # of the object, if there is one
    drift: str  # missed, vanished, stuck, missing_variants or orphans
    run_id: str  # the time; variants that are made again belong to this run
    missing: list[str] = Field(default_factory=list)  # keys of the variants that are made again


class ObjectRejected(FrozenModel):
    """The tracker deleted an object that was uploaded with a form that was no longer valid.

    The form had been used for another file before, or the file uploaded with it had been deleted.
    """

    type: Literal[EventType.OBJECT_REJECTED] = EventType.OBJECT_REJECTED
    key: str
    object_version: ObjectVersion


RequestEvent = RetryRequested | VariantsMissing
TimelineOnlyEvent = Redriven | Dropped | DriftRepaired | ObjectRejected  # these change no image's state


def next_run_id(known: str, now: datetime | None = None) -> str:
    """Return the id of a new run, which sorts after a known one even if that is ahead of this machine's clock."""
    now = now or datetime.now(UTC)
    try:
        now = max(now, datetime.fromisoformat(known) + timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError):
        pass  # the first run's id is empty
    return now.isoformat(timespec="microseconds")
