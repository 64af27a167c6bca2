"""Bodies of the operator's endpoints."""

import uuid
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, model_validator

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.system_events import MAX_REDRIVEN_IDS
from thumbmill.gateway.images.models import Time


class FailureCount(BaseModel):
    """How many images are FAILED with one code, by the time at which they failed."""

    code: ErrorCode
    meaning: str = Field(description="A sentence for people")
    retryable: bool = Field(description="Whether another run of the same bytes may succeed")
    last_hour: int
    last_day: int
    last_week: int


class Summary(BaseModel):
    """How many images there are in each state, and why images failed."""

    at: Time = Field(description="When this was counted")
    counts: dict[Status, int] = Field(description="Number of images by state; every state is present")
    failures: list[FailureCount] = Field(description="By code, most of the last day first")


class SystemProblem(BaseModel):
    """Something that an operator should do something about."""

    component: str = Field(description="What it is about", examples=["rabbitmq", "thumbnailer", "image_queue.dead"])
    problem: str = Field(description="What is wrong, a sentence")
    what_to_do: str = Field(description="The next step, a sentence")


class Dependency(BaseModel):
    """A server that the gateway needs."""

    name: str = Field(examples=["postgres"])
    available: bool
    error: str = Field(default="", description="Why it is unavailable")


class TrackerState(BaseModel):
    """How far the status tracker is."""

    caught_up_to: Time | None = Field(default=None, description="Time up to which it has recorded every event")
    lag_seconds: float | None = Field(default=None, description="How far that is behind now")


class Queue(BaseModel):
    """A queue of RabbitMQ."""

    name: str = Field(examples=["image_queue"])
    ready: int = Field(description="Messages that wait")
    unacknowledged: int | None = Field(
        default=None, description="Messages that a consumer is handling; null where no consumer reports it"
    )
    measured_at: Time


class DeadLetterOut(BaseModel):
    """A message that was given up."""

    queue: str = Field(examples=["image_queue.dead"])
    image_id: uuid.UUID | None = Field(default=None, description="Null if it is about no image, or malformed")
    code: str = Field(default="", description="Why it was given up", examples=["attempts_exhausted"])
    reason: str = Field(default="", description="The last error")
    dead_lettered_at: Time | None = None
    superseded: bool = Field(
        description="Whether a later run has decided about its image; the tracker drops such a dead letter"
    )


class DeadLetterQueue(BaseModel):
    """A dead letter queue and the first of its messages."""

    queue: str = Field(examples=["image_queue.dead"])
    messages: int
    reasons: dict[str, int] = Field(description="Number of messages by code, of the first 1000")
    items: list[DeadLetterOut] = Field(description="The first messages, at most 100")


class Worker(BaseModel):
    """A process that makes thumbnails, by the heartbeats that it publishes."""

    id: uuid.UUID
    host: str
    process_id: int
    version: str
    started_at: Time
    last_seen: Time
    decoders: int = Field(description="Child processes that decode ordinary images")
    slow_decoders: int = Field(description="Child processes that decode slow images")
    in_flight: int = Field(description="Images in progress at its last heartbeat")
    presets: str = Field(description="Version of its presets, as it is part of every variant's key")
    missing: bool = Field(description="Whether its heartbeats have stopped without a clean stop")


class Throughput(BaseModel):
    """What became DONE in the last minutes."""

    window_seconds: float = Field(description="The time that these figures are about")
    images_per_minute: float
    seconds_to_done_p50: float | None = Field(default=None, description="From the upload; null if none is DONE")
    seconds_to_done_p95: float | None = None


class Waiting(BaseModel):
    """Images that wait for a thumbnailer."""

    images: int
    oldest_seconds: float | None = None


class System(BaseModel):
    """The state of the parts. What cannot be read is null or empty, and `problems` has the reason."""

    at: Time
    problems: list[SystemProblem] = Field(description="What needs an operator, the most urgent first")
    dependencies: list[Dependency]
    tracker: TrackerState
    queues: list[Queue]
    dead_letters: list[DeadLetterQueue]
    workers: list[Worker]
    throughput: Throughput | None = None
    waiting: Waiting | None = None
    operator_actions: bool = Field(description="Whether `OPERATOR_ACTIONS` allows the POST requests of operators")


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
