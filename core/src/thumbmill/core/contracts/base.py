"""The base of all contract models, and the types of lifecycle events."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """An immutable model. A field that this version does not know is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EventType(StrEnum):
    """The types of lifecycle events, which are also their routing keys on ``image.lifecycle``."""

    REQUESTED = "upload.requested"
    EXPIRED = "upload.expired"
    PROCESSING = "image.processing"
    RETRYING = "image.retrying"
    DONE = "image.done"
    FAILED = "image.failed"
    REMOVED = "image.removed"
    REDRIVEN = "image.redriven"
    DROPPED = "image.dropped"
    RETRY_REQUESTED = "image.retry_requested"
    VARIANTS_MISSING = "image.variants_missing"
    RECONCILIATION_REQUESTED = "reconciliation.requested"
    REDRIVE_REQUESTED = "redrive.requested"
    WORKER_ALIVE = "worker.alive"
    DRIFT_REPAIRED = "tracker.repaired"
    OBJECT_REJECTED = "tracker.rejected"
    WATERMARK = "tracker.watermark"

    @property
    def cloud_event_type(self) -> str:
        """The ``type`` of a CloudEvent."""
        return f"thumbmill.{self.value}.v1"
