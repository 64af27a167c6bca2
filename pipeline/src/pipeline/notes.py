"""What is asked for about an image, and what somebody did with it on purpose: runs, letters, withdrawals.

None of these says how an image is; they stand in its timeline, and what follows of them is told apart.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from pipeline.contract import Contract, Kind
from pipeline.details import Words
from pipeline.identity import Source


class _ByOperator(Contract):
    """What somebody did with a dead letter about an image. It changes no row: what follows is told apart."""

    key: str
    operator: Words  # who
    queue: str  # whose letter it was: image_queue or status_tracker
    code: str  # why it had died
    run: str  # when: the run that a redriven message's facts belong to


class Redriven(_ByOperator):
    """A dead letter goes back to its queue."""

    kind: Literal[Kind.REDRIVEN] = Kind.REDRIVEN


class Dropped(_ByOperator):
    """A dead letter is thrown away; its image stays what it is."""

    kind: Literal[Kind.DROPPED] = Kind.DROPPED


class RetryRequested(Contract):
    """The owner or an operator asks for another try of a FAILED image: a new run.

    It is about one failure, that of the run ``after``; however often it is asked for, one run follows.
    """

    kind: Literal[Kind.RETRY_REQUESTED] = Kind.RETRY_REQUESTED
    key: str
    source: Source
    after: str  # the run that failed; empty: the first
    run: str  # of the new try; sorts after the failed one
    operator: Words | None = None  # who; None: somebody who may use the API
    forced: bool = False  # also where the code says that it cannot help: limits or program have changed since


class VariantsMissing(Contract):
    """The gateway looked for something that the row promises, and the bucket does not have it."""

    kind: Literal[Kind.VARIANTS_MISSING] = Kind.VARIANTS_MISSING
    key: str
    source: Source
    missing: list[str] = Field(default_factory=list, max_length=20)  # keys of variants; none: it is the original
    run: str  # when it was missed: the run that what is made again belongs to


class Healed(Contract):
    """Reconciliation found this image's row and the buckets to differ. What followed is told apart."""

    kind: Literal[Kind.HEALED] = Kind.HEALED
    key: str
    source: Source | None = None  # of the object, where there is one
    what: str  # missed, vanished, stuck, variants_gone, orphans
    run: str  # when: the run that what is made again belongs to
    gone: list[str] = Field(default_factory=list)  # keys of the variants that are being made again


class Withdrawn(Contract):
    """The tracker removed an object that a form had brought, though the form was no longer good for one.

    It had brought another file before, or what it had brought was deleted.
    """

    kind: Literal[Kind.WITHDRAWN] = Kind.WITHDRAWN
    key: str
    source: Source


def later_run(known: str, now: datetime | None = None) -> str:
    """Name a run that sorts after the one that is known, even where that was named by a clock ahead of ours."""
    now = now or datetime.now(UTC)
    try:
        now = max(now, datetime.fromisoformat(known) + timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError):
        pass  # the first run has no name
    return now.isoformat(timespec="microseconds")
