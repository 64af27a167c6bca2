"""What is asked for about an image, and what somebody did with it on purpose: runs, letters, withdrawals.

None of these says how an image is; they stand in its timeline, and what follows of them is told apart.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import SanitizedText


class _OperatorEvent(FrozenModel):
    """What somebody did with a dead letter about an image. It changes no row: what follows is told apart."""

    key: str
    operator: SanitizedText  # who
    queue: str  # whose letter it was: image_queue or status_tracker
    code: str  # why it had died
    run_id: str  # when: the run that a redriven message's facts belong to


class Redriven(_OperatorEvent):
    """A dead letter goes back to its queue."""

    type: Literal[EventType.REDRIVEN] = EventType.REDRIVEN


class Dropped(_OperatorEvent):
    """A dead letter is thrown away; its image stays what it is."""

    type: Literal[EventType.DROPPED] = EventType.DROPPED


class RetryRequested(FrozenModel):
    """The owner or an operator asks for another try of a FAILED image: a new run.

    It is about one failure, that of the run ``after``; however often it is asked for, one run follows.
    """

    type: Literal[EventType.RETRY_REQUESTED] = EventType.RETRY_REQUESTED
    key: str
    object_version: ObjectVersion
    after: str  # the run that failed; empty: the first
    run_id: str  # of the new try; sorts after the failed one
    operator: SanitizedText | None = None  # who; None: somebody who may use the API
    forced: bool = False  # also where the code says that it cannot help: limits or program have changed since


class VariantsMissing(FrozenModel):
    """The gateway looked for something that the row promises, and the bucket does not have it."""

    type: Literal[EventType.VARIANTS_MISSING] = EventType.VARIANTS_MISSING
    key: str
    object_version: ObjectVersion
    missing: list[str] = Field(default_factory=list, max_length=20)  # keys of variants; none: it is the original
    run_id: str  # when it was missed: the run that what is made again belongs to


class DriftRepaired(FrozenModel):
    """Reconciliation found this image's row and the buckets to differ. What followed is told apart."""

    type: Literal[EventType.DRIFT_REPAIRED] = EventType.DRIFT_REPAIRED
    key: str
    object_version: ObjectVersion | None = None  # of the object, where there is one
    what: str  # missed, vanished, stuck, variants_gone, orphans
    run_id: str  # when: the run that what is made again belongs to
    gone: list[str] = Field(default_factory=list)  # keys of the variants that are being made again


class ObjectRejected(FrozenModel):
    """The tracker removed an object that a form had brought, though the form was no longer good for one.

    It had brought another file before, or what it had brought was deleted.
    """

    type: Literal[EventType.OBJECT_REJECTED] = EventType.OBJECT_REJECTED
    key: str
    object_version: ObjectVersion


def next_run_id(known: str, now: datetime | None = None) -> str:
    """Name a run that sorts after the one that is known, even where that was named by a clock ahead of ours."""
    now = now or datetime.now(UTC)
    try:
        now = max(now, datetime.fromisoformat(known) + timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError):
        pass  # the first run has no name
    return now.isoformat(timespec="microseconds")
