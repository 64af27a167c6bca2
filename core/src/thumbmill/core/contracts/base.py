"""What all lifecycle events have in common."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """Frozen; a field that this version does not know is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EventType(StrEnum):
    """The routing keys on ``image.lifecycle``; a type is ``thumbmill.<kind>.v1``."""

    REQUESTED = "upload.requested"
    PROCESSING = "image.processing"
    RETRYING = "image.retrying"
    DONE = "image.done"
    FAILED = "image.failed"
    REMOVED = "image.removed"
    REDRIVEN = "image.redriven"
    DROPPED = "image.dropped"
    RETRY_REQUESTED = "image.retry_requested"
    VARIANTS_MISSING = "image.variants_missing"
    DRIFT_REPAIRED = "tracker.repaired"
    OBJECT_REJECTED = "tracker.rejected"
    WATERMARK = "tracker.watermark"

    @property
    def cloud_event_type(self) -> str:
        return f"thumbmill.{self.value}.v1"
