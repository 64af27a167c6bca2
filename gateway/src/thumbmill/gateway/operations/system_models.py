"""Bodies of the summary and of the state of the system."""

import uuid

from pydantic import BaseModel, Field

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.status import Status
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
