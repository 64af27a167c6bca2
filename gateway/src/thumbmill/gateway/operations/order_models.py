"""Bodies of the orders of operators: reconciliations and redrives."""

import uuid
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, model_validator

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.system_events import MAX_REDRIVEN_IDS
from thumbmill.gateway.images.models import Time


class OrderState(StrEnum):
    """How far an order is."""

    REQUESTED = "requested"  # published, and not recorded yet
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class _Order(BaseModel):
    id: uuid.UUID
    state: OrderState
    dry_run: bool
    requested_by: str = Field(description="Operator, or name of the API key; empty: the tracker's own schedule")
    requested_at: Time
    started_at: Time | None = None
    ended_at: Time | None = None
    error: str = Field(default="", description="Why it failed")


class Reconciliation(_Order):
    """A comparison of the buckets with the rows."""

    objects: int = Field(default=0, description="Objects and rows compared so far")
    expected_objects: int | None = Field(
        default=None, description="Objects that the last complete run compared, to show progress; null without one"
    )
    found: dict[str, int] = Field(
        default_factory=dict,
        description="Differences by kind: missed, vanished, stuck, missing_variants, orphans",
    )


class ReconciliationPage(BaseModel):
    """The latest reconciliations, newest first."""

    items: list[Reconciliation]


class ReconciledImage(BaseModel):
    """An image that a reconciliation found to differ."""

    image_id: uuid.UUID
    drift: str = Field(examples=["missing_variants"])
    key: str | None = Field(default=None, description="Object key of the original, if it is known")
    found_at: Time
    repaired: bool
    status: Status | None = Field(default=None, description="Present state of the image; null if it has no row")


class ReconciliationDetail(Reconciliation):
    """A reconciliation with the first of its images."""

    images: list[ReconciledImage] = Field(description="At most 1000")


class RedriveScope(BaseModel):
    """Which FAILED images a redrive is about. Images that match every given filter are redriven."""

    model_config = ConfigDict(extra="forbid")

    codes: list[ErrorCode] = Field(default_factory=list, max_length=20, description="Only with these error codes")
    ids: list[uuid.UUID] = Field(default_factory=list, max_length=MAX_REDRIVEN_IDS, description="Only these images")
    since: AwareDatetime | None = Field(default=None, description="Only images that failed at this time or later")
    force: StrictBool = Field(
        default=False,
        description="Also images whose error is not `retryable`: when limits or programs have changed since",
    )


class RedriveRequest(RedriveScope):
    """An order to process FAILED images again."""

    dry_run: StrictBool = Field(default=False, description="Only count, and change nothing")

    @model_validator(mode="after")
    def _check_filter(self) -> Self:
        if not (self.codes or self.ids or self.since):
            raise ValueError("give at least one of codes, ids and since")
        return self


class ImageRedriveRequest(BaseModel):
    """An order to process one FAILED image again."""

    model_config = ConfigDict(extra="forbid")

    force: StrictBool = Field(default=False, description="Even if its error is not `retryable`")


class ReconciliationRequest(BaseModel):
    """An order to compare the buckets with the rows now."""

    model_config = ConfigDict(extra="forbid")

    dry_run: StrictBool = Field(default=False, description="Only find differences, and repair none")


class NotRetryable(BaseModel):
    """FAILED images in the scope that another run cannot help, so that they stay as they are."""

    code: ErrorCode
    meaning: str
    images: int


class RedrivePreview(BaseModel):
    """What a redrive does: exactly these images are processed again, unless their state changes before."""

    images: int = Field(description="Number of images to be redriven")
    codes: dict[ErrorCode, int] = Field(description="The same by code")
    not_retryable: list[NotRetryable] = Field(description="Left out, because they would fail again")
    not_failed: int = Field(default=0, description="Number of `ids` that name no FAILED image in this scope")
    per_second: int = Field(description="Maximum rate")
    counted_at: Time


class RedriveProgress(BaseModel):
    """What became of the redriven images."""

    redriven: int = Field(description="Images whose event was published again so far")
    done: int = 0
    failed: int = 0
    in_progress: int = 0
    superseded: int = Field(default=0, description="Overtaken by a later run, another object or a deletion")


class Redrive(_Order):
    """An order to process FAILED images again."""

    scope: RedriveScope
    progress: RedriveProgress


class RedriveResult(StrEnum):
    """What became of a redriven image."""

    DONE = "done"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    SUPERSEDED = "superseded"  # a later run, another object or a deletion has decided about it since


class RedrivenImage(BaseModel):
    """What became of one image."""

    image_id: uuid.UUID
    code: str = Field(description="The error before")
    status: Status | None = Field(default=None, description="State of the image now; null if it was purged")
    error: str | None = Field(default=None, description="Error code now, if it failed again")
    result: RedriveResult


class RedriveDetail(Redrive):
    """A redrive with the first of its images."""

    images: list[RedrivenImage] = Field(description="At most 1000")


class RedrivePage(BaseModel):
    """The latest redrives, newest first."""

    items: list[Redrive]


class RedriveAccepted(BaseModel):
    """The result of an order, or of its dry run."""

    dry_run: bool
    preview: RedrivePreview
    redrive: Redrive | None = Field(default=None, description="Null for a dry run, and if nothing matches")
